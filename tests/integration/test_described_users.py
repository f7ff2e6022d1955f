"""Users who have done nothing yet, and of whom the user table says something, in real services."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from shortlist import HistoryItem, Recommender
from shortlist.bundle import Bundle
from shortlist.bundle.history import EMPTY_HISTORY
from shortlist.inference.user_encoder import UserEncoder
from shortlist.inference.users import UserQuery, resolve_user
from testbed.services import Running

pytestmark = pytest.mark.integration
_GENRES = 4


@pytest.fixture(scope="module")
def recommender(running: Running) -> Iterator[Recommender]:
    """A client of both services."""
    with Recommender(f"dns:///{running.ranking.address}", timeout=10) as client:
        yield client


@pytest.mark.parametrize("taste", range(_GENRES))
def test_a_user_without_a_history_gets_what_their_features_say(recommender: Recommender, taste: int) -> None:
    """Proves that it goes through both services: the genre of their taste, by the models and not by popularity."""
    answer = recommender.recommend(user_id=f"new{taste}", limit=10)
    assert answer.degraded is None
    assert {item.source for item in answer.items} == {"model"}
    assert sum(int(item.item_id[1:]) % _GENRES == taste for item in answer.items if item.item_id != "untouched") >= 7


def test_the_order_is_that_of_the_encoder(recommender: Recommender, bundle: Path) -> None:
    """Proves that the features arrive whole: the served scores are the inner products of the user's own vector."""
    opened = Bundle.open(bundle)
    user = resolve_user(opened, UserQuery(user_id="new2"))
    assert user.is_described
    scores = opened.items.vectors @ UserEncoder(opened).encode([EMPTY_HISTORY], user.features)[0]
    best = np.argsort(-scores, kind="stable")[:10]
    answer = recommender.recommend(user_id="new2", limit=10)
    assert [item.item_id for item in answer.items] == opened.items.ids_of(best)
    np.testing.assert_allclose([item.retrieval_score for item in answer.items], scores[best], rtol=1e-4)


def test_the_callers_own_candidates_are_ordered_as_well(recommender: Recommender) -> None:
    """Proves that Rank, too, knows them by their features."""
    items = [f"i{item}" for item in range(40)]
    first = [item.item_id for item in recommender.rank(item_ids=items, user_id="new1", limit=8).items]
    assert sum(int(item[1:]) % _GENRES == 1 for item in first) >= 6


def test_a_stranger_still_gets_what_is_popular(recommender: Recommender) -> None:
    """Proves that nobody is encoded of whom nothing is known."""
    assert {item.source for item in recommender.recommend(user_id="never seen", limit=5).items} == {"fallback"}


def test_a_history_counts_beside_the_features(recommender: Recommender) -> None:
    """Proves that what a described user does is seen: another genre's items come in."""
    history = [HistoryItem(item_id=f"i{item}", value=5.0) for item in (3, 7, 11, 15, 19, 23)]
    alone = [item.item_id for item in recommender.recommend(user_id="new0", limit=10).items]
    since = [item.item_id for item in recommender.recommend(user_id="new0", history=history, limit=10).items]
    assert since != alone
