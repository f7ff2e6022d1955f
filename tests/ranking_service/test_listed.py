"""Answers of a bundle in which lists may hold some of the items only."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ranking_service.queries import RankQuery, RecommendQuery
from ranking_service.recommender import Recommender
from shortlist.bundle import Bundle
from shortlist.inference.users import UserQuery
from tests.support.in_process import retrieval_client, retrieval_servicer
from tests.support.small_bundle import publish_small_bundle

LISTED = "abcdefgik"
FAN, NOBODY = UserQuery(user_id="fan"), UserQuery()


@pytest.fixture(scope="module")
def recommender(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recommender]:
    """Both stages over the bundle made by hand, whose items "h", "j" and "l" no list may hold."""
    root: Path = tmp_path_factory.mktemp("listed")
    directory = publish_small_bundle(root, listed=["abcdefghijkl".index(one) for one in LISTED])
    with retrieval_client(retrieval_servicer(root)) as client:
        yield Recommender(Bundle.open(directory), client)


@pytest.mark.parametrize(("user", "left"), [(FAN, "bcefgik"), (NOBODY, LISTED)])
def test_however_long_a_list_it_holds_listed_items_alone(recommender: Recommender, user: UserQuery, left: str) -> None:
    """Proves it for the models' items and for popular ones, where the list is longer than there are items."""
    query = RecommendQuery(user=user, limit=12, deadline=time.monotonic() + 30)
    items = recommender.recommend(query).ranked.items
    assert sorted(recommender.bundle.items.ids_of(items.rows)) == sorted(left)


def test_popular_items_are_listed_ones(recommender: Recommender) -> None:
    """Proves the fallback that this service has by itself, most popular first."""
    answer = recommender.recommend(RecommendQuery(user=NOBODY, limit=3, deadline=time.monotonic() + 30))
    assert recommender.bundle.items.ids_of(answer.ranked.items.rows) == ["k", "i", "g"]


def test_the_callers_own_items_are_ranked_whatever_lists_may_hold(recommender: Recommender) -> None:
    """Proves that `Rank` answers for each item that it is asked about."""
    answer = recommender.rank(RankQuery(user=FAN, item_ids=("g", "j", "h"), limit=3))
    assert recommender.bundle.items.ids_of(answer.ranked.items.rows) == ["j", "g", "h"]
