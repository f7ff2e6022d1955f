"""Matching of the same users under other ids, on a planted graph."""

import numpy as np
import polars as pl
import pytest

from bench.datasets.cold_users import circles, same_users


def graph() -> pl.DataFrame:
    """Interactions of 40 users with a few of 60 items each."""
    random = np.random.default_rng(3)
    pairs = {(user, int(item)) for user in range(40) for item in random.choice(60, 3 + user % 5, replace=False)}
    return pl.DataFrame(sorted(pairs), schema=["user", "item"], orient="row")


def test_users_are_matched_by_their_interactions() -> None:
    """Proves it for users and items with shuffled ids."""
    random = np.random.default_rng(4)
    users, items = pl.Series(random.permutation(40)), pl.Series(random.permutation(60))
    renamed = (
        graph()
        .select(user=users.gather(graph()["user"]), item=items.gather(graph()["item"]))
        .sample(fraction=1.0, shuffle=True, seed=5)
    )
    found = same_users(graph(), renamed).sort("user")
    assert found["user"].to_list() == list(range(40))
    assert found["named"].to_list() == users.to_list()


def test_graphs_that_differ_are_refused() -> None:
    """Proves that a mapping is never a guess: one missing edge is an error."""
    with pytest.raises(ValueError, match="the graphs differ"):
        same_users(graph(), graph().head(-1))


def test_a_circle_has_the_user_and_the_friends() -> None:
    """Proves the lists, under the new ids."""
    names = pl.DataFrame({"user": [1, 2, 3], "named": [30, 20, 10]})
    found = circles(pl.DataFrame({"user": [1, 2], "friend": [2, 1]}), names)
    assert found.rows() == [(10, [10]), (20, [20, 30]), (30, [20, 30])]
