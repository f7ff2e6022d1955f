"""Answers are the same in any company."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import grpc
import numpy as np
import pytest

from ranking_service.ranker import OnnxRanker
from shortlist.bundle import Bundle
from shortlist.inference.candidates import Candidates
from shortlist.inference.context import ContextEncoder
from shortlist.inference.user_encoder import UserEncoder
from shortlist.inference.users import ResolvedUser, UserQuery, resolve_user
from shortlist.ranking.v1 import ranking_service_pb2 as pb
from shortlist.ranking.v1.ranking_service_pb2_grpc import RankingServiceStub
from shortlist.type.v1.user_pb2 import HistoryItem, User
from testbed.services import Running

pytestmark = pytest.mark.integration
_TOLERANCE = 1e-6


@pytest.fixture(scope="module")
def opened(bundle: Path) -> Bundle:
    """The trained bundle, in this process."""
    return Bundle.open(bundle)


@pytest.fixture(scope="module")
def people(opened: Bundle) -> list[ResolvedUser]:
    """Users with histories of many lengths, one interaction among them."""
    users = [resolve_user(opened, UserQuery(user_id=f"u{user}")) for user in range(12)]
    return [replace(user, history=user.history.last(1 + 2 * place)) for place, user in enumerate(users)]


def test_a_user_vector_does_not_depend_on_who_is_encoded_beside_it(opened: Bundle, people: list[ResolvedUser]) -> None:
    """Histories of other lengths pad this one, and the padding must not be seen."""
    encoder = UserEncoder(opened)
    together = encoder.encode([user.history for user in people], np.concatenate([user.features for user in people]))
    alone = np.concatenate([encoder.encode([user.history], user.features) for user in people])
    np.testing.assert_allclose(together, alone, rtol=_TOLERANCE, atol=_TOLERANCE)


def test_a_score_does_not_depend_on_who_is_ranked_beside_it(opened: Bundle, people: list[ResolvedUser]) -> None:
    """One run of the ranker over many users gives what a run for each gives."""
    encoder, ranker, random = UserEncoder(opened), OnnxRanker(opened), np.random.default_rng(3)
    lists, vectors = list[Candidates](), list[np.ndarray]()
    for user in people:
        vector = encoder.encode([user.history], user.features)[0]
        rows = random.permutation(opened.manifest.item_count)[:40].astype(np.int64)
        vectors.append(vector)
        lists.append(Candidates.from_model(rows, opened.items.vectors[rows] @ vector))
    nothing = ContextEncoder(opened.manifest.context).encode({})
    together = ranker.score(people, lists, vectors, [nothing] * len(people))
    parts = zip(people, lists, vectors, strict=True)
    alone = np.concatenate([ranker.score([user], [one], [vector], [nothing]) for user, one, vector in parts])
    np.testing.assert_allclose(together, alone, rtol=_TOLERANCE, atol=_TOLERANCE)


@pytest.fixture(scope="module")
def ranking(running: Running) -> Iterator[RankingServiceStub]:
    """The running ranking service."""
    with grpc.insecure_channel(running.ranking.address) as channel:
        yield RankingServiceStub(channel)


def _requests() -> list[pb.RecommendRequest]:
    known = [pb.RecommendRequest(user=User(user_id=f"u{user}"), limit=5 + user % 7) for user in range(40)]
    new = [User(history=[HistoryItem(item_id=f"i{item}") for item in range(first, 100, 9)]) for first in range(9)]
    by_value = [
        pb.RecommendRequest(user=one.user, limit=10, objective_weights={"value": 1 + one.limit % 3})
        for one in known[:20]
    ]
    return [*known, *by_value, *(pb.RecommendRequest(user=user, limit=10, candidate_count=30) for user in new)]


def test_a_crowd_gets_the_lists_that_each_would_get_alone(ranking: RankingServiceStub) -> None:
    """Sixteen at once, of several limits, counts and orders: the same items, scores to 1e-6, nothing degraded."""
    requests = _requests()
    alone = [ranking.Recommend(request, timeout=30) for request in requests]
    with ThreadPoolExecutor(16) as pool:
        crowd = list(pool.map(lambda request: ranking.Recommend(request, timeout=30), requests * 4))
    for one, other in zip(alone * 4, crowd, strict=True):
        assert not other.degraded
        assert [item.item_id for item in other.items] == [item.item_id for item in one.items]
        scores = [[item.score for item in answer.items] for answer in (one, other)]
        np.testing.assert_allclose(scores[0], scores[1], rtol=_TOLERANCE, atol=_TOLERANCE)


def test_a_bad_request_in_a_crowd_fails_alone(ranking: RankingServiceStub) -> None:
    """Every third asks for nothing; the others never notice."""
    good, bad = pb.RecommendRequest(user=User(user_id="u1"), limit=5), pb.RecommendRequest(limit=0)
    codes, lock = list[grpc.StatusCode](), threading.Lock()

    def ask(place: int) -> int:
        try:
            return len(ranking.Recommend(bad if place % 3 == 0 else good, timeout=30).items)
        except grpc.RpcError as error:
            with lock:
                codes.append(error.code())
            return 0

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(ask, range(96)))
    assert codes == [grpc.StatusCode.INVALID_ARGUMENT] * 32
    assert [count for place, count in enumerate(found) if place % 3] == [5] * 64
