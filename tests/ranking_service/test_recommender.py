"""Requests through both stages, over a bundle whose every answer is known."""

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ranking_service.answer import Answer
from ranking_service.queries import RankQuery, RecommendQuery
from ranking_service.recommender import Recommender
from shortlist.bundle import Bundle
from shortlist.errors import InvalidRequest
from shortlist.inference.candidates import Source
from shortlist.inference.users import IdHistory, UserQuery
from tests.support.in_process import retrieval_client, retrieval_servicer
from tests.support.small_bundle import BUNDLE_ID, DIMENSION, encoder_of_histories, publish_small_bundle

Recommend = Callable[..., Answer]
_FAN, _DESCRIBED, _UNKNOWN = (UserQuery(user_id=name) for name in ("fan", "described", "unknown"))


@pytest.fixture
def recommend(recommender: Recommender) -> Recommend:
    """Recommends three items unless told otherwise."""

    def call(user: UserQuery, **fields: object) -> Answer:
        query = {"limit": 3, "deadline": time.monotonic() + 30, **fields}
        return recommender.recommend(RecommendQuery(user=user, **query))  # type: ignore[arg-type]

    return call


@pytest.fixture
def ids(small_bundle: Bundle) -> Callable[[Answer], str]:
    """The ids of an answer, one letter each."""
    return lambda answer: "".join(small_bundle.items.ids_of(answer.ranked.items.rows))


def history(items: str, values: Sequence[float] | None = None) -> UserQuery:
    values = values or [math.nan] * len(items)
    return UserQuery(history=IdHistory(item_ids=tuple(items), values=tuple(values), events=("view",) * len(items)))


Ids = Callable[[Answer], str]


def test_a_known_user_gets_the_items_the_ranker_scores_highest(recommend: Recommend, ids: Ids) -> None:
    """Proves the whole path: stored history, nearest unseen items, probabilities, all from the models."""
    answer = recommend(_FAN)
    ranked = answer.ranked
    assert (ids(answer), answer.degraded) == ("jgl", None)
    assert ranked.items.sources.tolist() == [Source.MODEL] * 3
    assert ranked.is_scored.all()
    np.testing.assert_allclose(ranked.scores, 1 / (1 + np.exp(-ranked.items.scores)), rtol=1e-6)
    np.testing.assert_allclose(ranked.predictions[:, 0], ranked.scores)
    assert ranked.predictions[:, 1].tolist() == [0, 1, 2]


def test_a_history_in_the_call_comes_before_the_stored_one(recommend: Recommend, ids: Ids) -> None:
    """Proves that the models see the history that is sent, while items of both are left out."""
    query = UserQuery(
        user_id="fan", history=IdHistory(item_ids=("b", "e"), values=(math.nan,) * 2, events=("view",) * 2)
    )
    assert ids(recommend(query)) == "khl"
    everything = set(ids(recommend(query, limit=12)))
    assert everything == set("abcdefghijkl") - set("ad") - set("be")


def test_no_user_gets_popular_items_as_fallbacks(recommend: Recommend, ids: Ids) -> None:
    """Proves it for a call without a user, for an unknown id, and for a user without history and features."""
    for user in (UserQuery(), UserQuery(user_id="never seen"), _UNKNOWN):
        answer = recommend(user, exclude=("k",))
        assert (ids(answer), answer.degraded) == ("lji", None)
        assert answer.ranked.items.sources.tolist() == [Source.FALLBACK] * 3
        assert not answer.ranked.items.scores.any()
        assert not answer.ranked.scores.any()
        assert not answer.ranked.is_scored.any()


def test_a_user_with_features_alone_gets_the_order_of_retrieval(recommend: Recommend, ids: Ids) -> None:
    """Proves that the ranker is left out without a history: the scores are retrieval's, and nothing is degraded."""
    answer = recommend(_DESCRIBED)
    assert (ids(answer), answer.degraded) == ("lkj", None)
    assert answer.ranked.items.sources.tolist() == [Source.MODEL] * 3
    assert not answer.ranked.is_scored.any()
    np.testing.assert_allclose(answer.ranked.scores, [0.011, 0.010, 0.009], rtol=1e-5)


def test_excluded_and_seen_items_stay_out_unless_seen_ones_are_kept(recommend: Recommend, ids: Ids) -> None:
    """Proves that exclusion applies to the whole list, and that unknown ids are counted."""
    answer = recommend(_FAN, limit=12, exclude=("j", "zz"))
    assert set(ids(answer)) == set("abcdefghijkl") - set("ad") - {"j"}
    assert answer.unknown.items == 1
    assert ids(recommend(_FAN, limit=4, keep_seen=True)) == "jgda"


def test_fewer_candidates_than_the_limit_count_as_the_limit(recommend: Recommend, ids: Ids) -> None:
    """Proves that candidate_count cannot make a list shorter."""
    assert ids(recommend(_FAN, limit=3, candidate_count=1)) == "jgl"


def test_the_weights_of_a_call_make_the_order(recommend: Recommend, ids: Ids) -> None:
    """Proves that by "value", the position, the last candidate is the first."""
    assert ids(recommend(_FAN, limit=5, objective_weights={"value": 1.0})) == ids(recommend(_FAN, limit=5))[::-1]


def test_the_context_of_a_call_reaches_the_ranker(recommend: Recommend, ids: Ids) -> None:
    """Proves that on a tv the order is the reverse, and that an unknown name and an unknown text are counted."""
    answer = recommend(_FAN, limit=5, context={"device": "tv", "weather": "rain"})
    assert ids(answer) == ids(recommend(_FAN, limit=5))[::-1]
    assert answer.unknown.context == 1
    assert recommend(_FAN, context={"device": "fridge", "hour": 20, "weather": "rain"}).unknown.context == 2


def test_options_that_the_bundle_does_not_have_are_refused(recommend: Recommend) -> None:
    """Proves that every bad option is named at once."""
    with pytest.raises(InvalidRequest) as caught:
        recommend(_FAN, objective_weights={"buy": 1.0, "like": 9.0}, context={"hour": "late"})
    fields = [violation.field for violation in caught.value.violations]
    assert fields == ["objective_weights['buy']", "objective_weights['like']", "context['hour']"]


def test_requests_that_share_a_batch_get_the_answers_they_get_alone(recommend: Recommend) -> None:
    """Proves it for users with a history, with features alone, and with none, of several limits, all at once."""
    users = (_FAN, _DESCRIBED, UserQuery(user_id="mixed"), history("bc"))
    queries = [(user, 1 + place % 12) for place, user in enumerate(users * 12)]
    alone = [recommend(user, limit=limit) for user, limit in queries]
    with ThreadPoolExecutor(16) as pool:
        crowd = list(pool.map(lambda query: recommend(query[0], limit=query[1]), queries))
    for one, other in zip(alone, crowd, strict=True):
        assert other.degraded is None
        assert other.ranked.items.rows.tolist() == one.ranked.items.rows.tolist()
        np.testing.assert_allclose(other.ranked.scores, one.ranked.scores, rtol=1e-6)


def test_rank_orders_the_callers_candidates(recommender: Recommender, ids: Ids) -> None:
    """Proves that a repeated id counts once and an unknown one is counted, and that the limit holds."""
    query = RankQuery(user=_FAN, item_ids=tuple("bgjbz"), limit=2)
    answer = recommender.rank(query)
    assert (ids(answer), answer.unknown.items, answer.degraded) == ("jg", 1, None)
    assert answer.ranked.predictions[:, 1].tolist() == [2, 1]


def test_rank_without_a_history_orders_by_retrieval_score_or_popularity(recommender: Recommender, ids: Ids) -> None:
    """Proves that features alone give retrieval's order, and no user the order of popularity, as fallbacks."""
    described = recommender.rank(RankQuery(user=_DESCRIBED, item_ids=tuple("acb"), limit=3))
    nobody = recommender.rank(RankQuery(user=UserQuery(), item_ids=tuple("acb"), limit=2))
    assert (ids(described), ids(nobody)) == ("cba", "cb")
    assert described.ranked.items.sources.tolist() == [Source.MODEL] * 3
    assert nobody.ranked.items.sources.tolist() == [Source.FALLBACK] * 2


def test_a_history_that_nothing_is_known_of_gets_popular_items(tmp_path: Path) -> None:
    """Proves that zeros in retrieval's vectors reach the answer of both stages as fallbacks, not degraded."""
    publish_small_bundle(tmp_path, vectors={row: [0.0] * DIMENSION for row in (2, 10)})
    servicer = retrieval_servicer(tmp_path)
    with retrieval_client(servicer) as client:
        both = Recommender(Bundle.open(tmp_path / BUNDLE_ID), client)
        answer = both.recommend(RecommendQuery(user=history("ck"), limit=3, deadline=time.monotonic() + 30))
    assert (answer.ranked.items.rows.tolist(), answer.degraded) == ([11, 9, 8], None)
    assert answer.ranked.items.sources.tolist() == [Source.FALLBACK] * 3
    assert not answer.ranked.is_scored.any()


def test_rank_takes_a_user_vector_that_is_not_finite_for_none(tmp_path: Path) -> None:
    """Proves that no score is NaN: the candidates come by popularity, as fallbacks."""
    directory = publish_small_bundle(tmp_path, encoder=encoder_of_histories("Log"))
    with retrieval_client(retrieval_servicer(tmp_path)) as client:
        both = Recommender(Bundle.open(directory), client)
        odd, fine = (both.rank(RankQuery(user=history(of), item_ids=tuple("dfe"), limit=3)) for of in "ab")
    assert odd.ranked.items.rows.tolist() == [5, 4, 3]
    assert odd.ranked.items.sources.tolist() == [Source.FALLBACK] * 3
    assert not odd.ranked.scores.any()
    assert fine.ranked.items.sources.tolist() == [Source.MODEL] * 3


def test_rank_needs_no_first_stage(tmp_path: Path) -> None:
    """Proves that a bundle whose vectors are all zeros, with a ranker alone, still ranks for a history."""
    directory = publish_small_bundle(tmp_path, vectors={row: [0.0] * DIMENSION for row in range(12)})
    with retrieval_client(retrieval_servicer(tmp_path)) as client:
        answer = Recommender(Bundle.open(directory), client).rank(
            RankQuery(user=history("a"), item_ids=tuple("dfe"), limit=3, objective_weights={"value": 1.0})
        )
    assert answer.ranked.items.rows.tolist() == [4, 5, 3]
    assert answer.ranked.is_scored.all()
