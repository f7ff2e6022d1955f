"""When ranking cannot be done: the order of retrieval, and the reason."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ranking_service.packing import Wanted
from ranking_service.ranker import Candidates
from ranking_service.recommender import Degraded, Recommender, RecommendQuery
from ranking_service.retrieval import RetrievalClient
from shortlist.bundle import Bundle
from shortlist.security.settings import ClientSecurity
from shortlist.type.v1.user_pb2 import User
from testbed.services import Running

pytestmark = pytest.mark.integration


@pytest.fixture
def recommender(bundle: Path, running: Running) -> Iterator[Recommender]:
    """The ranking service's own part in this process, with the real retrieval service on the other side."""
    opened = Bundle.open(bundle)
    client = RetrievalClient(f"dns:///{running.retrieval.address}", ClientSecurity())
    client.connect(opened)
    yield Recommender(opened, client)
    client.close()


def _query(seconds: float) -> RecommendQuery:
    return RecommendQuery(
        user=User(user_id="u5"),
        limit=10,
        exclude=(),
        candidates=0,
        keep_seen=False,
        deadline=time.monotonic() + seconds,
    )


def test_a_ranker_that_fails_leaves_the_order_of_retrieval(
    recommender: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model's error is logged, the caller gets a list by retrieval's score, marked."""

    def fail(*_: object) -> None:
        raise RuntimeError("the model is broken")

    monkeypatch.setattr(recommender._ranker, "score", fail)
    answer = recommender.recommend(_query(seconds=10))
    assert answer.degraded is Degraded.RANKER_FAILED
    assert len(answer.rows) == 10
    assert (np.diff(answer.retrieval_scores) <= 0).all()


def test_too_little_time_to_rank_leaves_the_order_of_retrieval(
    recommender: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retrieval took nearly all of the deadline: what it found is better than an answer that comes too late."""
    retrieve, query = recommender._retrieval.retrieve, _query(seconds=10)

    def slow(bundle: Bundle, wanted: Sequence[Wanted], timeout: float) -> list[Candidates]:
        found = retrieve(bundle, wanted, timeout)
        monkeypatch.setattr(time, "monotonic", lambda: query.deadline - 0.001)
        return found

    monkeypatch.setattr(recommender._retrieval, "retrieve", slow)
    assert recommender.recommend(query).degraded is Degraded.DEADLINE


def test_retrieval_with_another_bundle_is_not_mixed_with_ours(recommender: Recommender) -> None:
    """Two versions never make one answer: popular items of our own, marked."""
    manifest = replace(recommender.bundle.manifest, bundle_id="20200101T000000-0000")
    recommender.bundle = replace(recommender.bundle, manifest=manifest)
    answer = recommender.recommend(_query(seconds=10))
    assert answer.degraded is Degraded.BUNDLE_MISMATCH
    assert len(answer.retrieval_scores) == 0
    assert len(answer.rows) == 10
