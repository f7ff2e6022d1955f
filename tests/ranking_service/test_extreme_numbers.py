"""Numbers as large as a caller may send: every score is finite, or the answer says that the ranker failed."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from ranking_service.answer import Answer
from ranking_service.queries import RankQuery, RecommendQuery
from ranking_service.recommender import Recommender
from ranking_service.stages.score import RankerFailed
from retrieval_service.queries import IdQuery
from retrieval_service.retriever import Retriever
from retrieval_service.servicer import RetrievalServicer
from shortlist.bundle import Bundle
from shortlist.bundle.tables import MOST_DEVIATIONS
from shortlist.context import Context
from shortlist.degraded import Degraded
from shortlist.inference.users import IdHistory, UserQuery
from shortlist.limits import MAX_VALUE
from tests.support.in_process import retrieval_client
from tests.support.small_bundle import (
    BUNDLE_ID,
    publish_small_bundle,
    ranker_of_squared_values,
    ranker_without_late_scores,
)

_LATE = {"hour": 12.0 + 6 * 4}
Make = Callable[[bytes], Recommender]


@pytest.fixture
def make(tmp_path: Path, retrieval: RetrievalServicer) -> Iterator[Make]:
    """A recommender with another ranker."""
    with retrieval_client(retrieval) as client:
        yield lambda ranker: Recommender(Bundle.open(publish_small_bundle(tmp_path, BUNDLE_ID, ranker=ranker)), client)


def _user(values: Sequence[float]) -> UserQuery:
    ids = tuple("abcde"[place % 5] for place in range(len(values)))
    return UserQuery(history=IdHistory(item_ids=ids, values=tuple(values), events=("view",) * len(values)))


def _recommend(recommender: Recommender, user: UserQuery, context: Context | None = None) -> Answer:
    return recommender.recommend(
        RecommendQuery(user=user, limit=3, deadline=time.monotonic() + 30, context=context or {})
    )


def _is_finite(answer: Answer) -> bool:
    ranked = answer.ranked
    return bool(np.isfinite(ranked.scores).all() and np.isfinite(ranked.predictions).all() and ranked.is_scored.all())


@pytest.mark.parametrize("count", [2, 10, 50])
@pytest.mark.parametrize("value", [1e30, 1e37, 1e38, 2e38, MAX_VALUE])
@pytest.mark.parametrize("sign", [1, -1], ids=["one sign", "alternating"])
def test_the_largest_values_of_a_history_give_finite_scores(make: Make, count: int, value: float, sign: int) -> None:
    """Proves it for both calls of ranking, whose sums of such values would overflow, and for retrieval."""
    recommender = make(ranker_of_squared_values())
    user = _user([value * sign**place for place in range(count)])
    answer = _recommend(recommender, user)
    assert answer.degraded is None
    assert _is_finite(answer)
    assert _is_finite(recommender.rank(RankQuery(user=user, item_ids=("f", "g"), limit=2)))
    query = IdQuery(user=user, limit=3, deadline=time.monotonic() + 30)
    found = Retriever(recommender.bundle).retrieve(query).retrieved
    assert np.isfinite(found.candidates.scores).all()


@pytest.mark.parametrize("hour", [MAX_VALUE, -MAX_VALUE])
def test_the_largest_numbers_of_a_context_give_finite_scores(recommender: Recommender, hour: float) -> None:
    """Proves that they are as far from the mean as any number is taken to be."""
    answer = _recommend(recommender, _user([1.0]), {"hour": hour})
    assert answer.degraded is None
    assert _is_finite(answer)


def test_values_of_any_real_data_reach_the_models_as_they_are(small_bundle: Bundle) -> None:
    """Proves that only values beyond the bound are cut, and that an unknown one stays unknown."""
    bound = MOST_DEVIATIONS * small_bundle.manifest.value_std
    values = np.array([0.1, -bound, bound, 2 * bound, -MAX_VALUE, math.nan], dtype=np.float32)
    expected = np.array([0.1, -bound, bound, bound, -bound, math.nan], dtype=np.float32)
    np.testing.assert_array_equal(small_bundle.items.clamped(values), expected)
    np.testing.assert_array_equal(small_bundle.items.standardised(values), np.nan_to_num(expected))


def test_a_ranker_without_finite_scores_leaves_the_order_of_retrieval(make: Make) -> None:
    """Proves that Recommend says so, and that the same ranker still answers other calls."""
    recommender = make(ranker_without_late_scores())
    answer = _recommend(recommender, _user([1.0]), _LATE)
    assert answer.degraded is Degraded.RANKER_FAILED
    assert not answer.ranked.is_scored.any()
    assert [*answer.ranked.scores] == [*answer.ranked.items.scores]
    assert _recommend(recommender, _user([1.0])).degraded is None


def test_a_ranker_without_finite_scores_fails_the_ranking_of_own_candidates(make: Make) -> None:
    """Proves that Rank, whose answer has no word for it, gives no order that the ranker did not make."""
    recommender = make(ranker_without_late_scores())
    query = RankQuery(user=_user([1.0]), item_ids=("f", "g"), limit=2, context=_LATE)
    with pytest.raises(RankerFailed, match="not finite"):
        recommender.rank(query)
