"""Planted ratings, whose factors are known."""

import numpy as np
import pytest

from trainer.experiments.ratings.ratings import Ratings
from trainer.recipe import RatingsConfig

USERS, ITEMS, FACTORS = 80, 60, 2


@pytest.fixture(scope="session")
def planted_ratings() -> Ratings:
    """Of 80 users and 60 items, half of all pairs in random order: 1 to 5, by two factors and a little noise."""
    random = np.random.default_rng(3)
    user, item = random.normal(size=(USERS, FACTORS)), random.normal(size=(ITEMS, FACTORS))
    pairs = random.permutation(USERS * ITEMS)[: USERS * ITEMS // 2]
    rows, columns = np.divmod(pairs, ITEMS)
    told = 3 + (user[rows] * item[columns]).sum(axis=1) + 0.2 * random.normal(size=len(pairs))
    values = np.clip(np.round(told), 1, 5).astype(np.float32)
    return Ratings(user_rows=rows, item_rows=columns, values=values, users=USERS, items=ITEMS)


@pytest.fixture(scope="session")
def quick_ratings() -> RatingsConfig:
    """Settings that train in a second, in two batches."""
    return RatingsConfig(
        dimension=8, epochs=60, batch_size=50, dropout=0.1, regularisation=0.05, history_regularisation=0.05
    )
