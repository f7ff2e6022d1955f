"""Batches of unlike requests: a request changes no other one's answer, and one at fault spoils none."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import grpc
import numpy as np
import pytest

from ranking_service import patience
from ranking_service.answer import Answer
from ranking_service.queries import RecommendQuery
from ranking_service.recommender import Recommender
from ranking_service.request import Request
from ranking_service.stages import retrieve
from ranking_service.stages.resolve import Resolver
from ranking_service.stages.retrieve import Found, RetrieveStage
from ranking_service.stages.score import ScoreStage
from retrieval_service.servicer import RetrievalServicer
from shortlist.bundle import Bundle
from shortlist.degraded import Degraded
from shortlist.errors import BundleNotServed, FieldViolation, InvalidRequest
from shortlist.inference.candidates import Candidates, Source
from shortlist.inference.retrieval import Retrieved
from shortlist.inference.user_encoder import UserEncoder
from shortlist.inference.users import UserQuery
from shortlist.retrieval.v1 import retrieval_service_pb2 as pb
from tests.support.in_process import retrieval_client
from tests.support.small_bundle import publish_small_bundle, ranker_of_early_hours

_FAULTY = 7
_SOON = 10.0


@pytest.fixture
def request_of_fan(small_bundle: Bundle) -> Request:
    """A request of a user with a history."""
    query = RecommendQuery(user=UserQuery(user_id="fan"), limit=3, deadline=time.monotonic() + 30)
    resolver = Resolver(small_bundle)
    return resolver.recommend(query, resolver.options(query))


def _found(*sources: Source) -> Found:
    """Candidates of these sources, from row 1 on; only those that the models chose have a score."""
    numbers = np.array(sources, dtype=np.uint8)
    scores = np.where(numbers == Source.MODEL, np.linspace(3, 1, len(sources)), 0).astype(np.float32)
    candidates = Candidates(rows=np.arange(1, len(sources) + 1), scores=scores, sources=numbers)
    return Found(retrieved=Retrieved(candidates=candidates, vector=np.ones(4, dtype=np.float32)))


def test_only_candidates_of_the_models_are_scored_wherever_they_stand(
    small_bundle: Bundle, request_of_fan: Request, caplog: pytest.LogCaptureFixture
) -> None:
    """Proves that fallbacks among them are kept aside, for lists of one length with unequally many fallbacks."""
    model, fallback = Source.MODEL, Source.FALLBACK
    found = [_found(model, fallback, model, model), _found(fallback, model, fallback, model), _found(*[model] * 4)]
    scored = ScoreStage(small_bundle).score([request_of_fan] * 3, found)
    assert [one.degraded for one in scored] == [None] * 3
    assert caplog.messages == []
    assert [one.items.rows.tolist() for one in scored] == [[1, 3, 4], [2, 4], [1, 2, 3, 4]]
    assert [one.others.rows.tolist() for one in scored] == [[2], [1, 3], []]
    for one in scored:
        assert one.logits is not None
        # The ranker's log-odds of a like are the retrieval score, and its value is the position.
        np.testing.assert_allclose(one.logits[:, 0], one.items.scores, rtol=1e-6)
        assert one.logits[:, 1].tolist() == list(range(len(one.items)))


def test_a_request_that_the_ranker_fails_for_is_degraded_alone(small_bundle: Bundle, request_of_fan: Request) -> None:
    """Proves that the others of its batch are ranked."""
    options = replace(request_of_fan.options, context=np.zeros(1, dtype=np.float32))
    faulty = replace(request_of_fan, options=options)
    found = [_found(Source.MODEL, Source.MODEL)] * 3
    scored = ScoreStage(small_bundle).score([request_of_fan, faulty, request_of_fan], found)
    assert [one.degraded for one in scored] == [None, Degraded.RANKER_FAILED, None]
    assert [one.logits is None for one in scored] == [False, True, False]


def test_a_request_that_retrieval_refuses_is_degraded_alone(
    small_bundle: Bundle, request_of_fan: Request, retrieval: RetrievalServicer
) -> None:
    """Proves that the others of its batch get their candidates."""

    class Picky(RetrievalServicer):
        def __init__(self) -> None:
            self.sizes: list[int] = []

        def RetrieveRows(  # noqa: N802
            self, request: pb.RetrieveRowsRequest, context: grpc.ServicerContext
        ) -> pb.RetrieveRowsResponse:
            self.sizes.append(len(request.queries))
            if any(query.limit == _FAULTY for query in request.queries):
                raise RuntimeError("cannot answer this query")
            return retrieval.RetrieveRows(request, context)

    picky, faulty = Picky(), replace(request_of_fan, candidate_count=_FAULTY)
    with retrieval_client(picky) as client:
        stage = RetrieveStage(small_bundle, client, UserEncoder(small_bundle))
        found = stage.retrieve([request_of_fan, faulty, request_of_fan])
    assert [one.degraded for one in found] == [None, Degraded.RETRIEVAL_UNAVAILABLE, None]
    assert [len(one.retrieved.candidates) for one in found] == [5, 3, 5]
    assert picky.sizes == [3, 1, 1, 1]


def test_a_slow_failure_is_not_tried_again_for_each_request(
    small_bundle: Bundle, request_of_fan: Request, retrieval: RetrievalServicer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proves that a batch whose calls would take longer than its requests have gets popular items at once."""

    class Slow(RetrievalServicer):
        def __init__(self) -> None:
            self.sizes: list[int] = []

        def RetrieveRows(  # noqa: N802
            self, request: pb.RetrieveRowsRequest, context: grpc.ServicerContext
        ) -> pb.RetrieveRowsResponse:
            self.sizes.append(len(request.queries))
            time.sleep(0.5)
            raise RuntimeError("cannot answer")

    # One try has all of the time.
    monkeypatch.setattr(patience, "_LEAST_SECONDS", _SOON)
    slow, hurried = Slow(), replace(request_of_fan, deadline=time.monotonic() + 2)
    with retrieval_client(slow) as client:
        stage = RetrieveStage(small_bundle, client, UserEncoder(small_bundle))
        found = stage.retrieve([request_of_fan, hurried, request_of_fan])
    assert [one.degraded for one in found] == [Degraded.RETRIEVAL_UNAVAILABLE] * 3
    assert slow.sizes == [3]


class Gated(RetrievalServicer):
    """Holds the first call until it is let through; raises an error for one limit."""

    def __init__(self, servicer: RetrievalServicer, error: Exception | None = None) -> None:
        self._servicer, self._error = servicer, error
        self.sizes: list[int] = []
        self.open = threading.Event()

    def RetrieveRows(self, request: pb.RetrieveRowsRequest, context: grpc.ServicerContext) -> pb.RetrieveRowsResponse:  # noqa: N802
        self.sizes.append(len(request.queries))
        assert self.open.wait(_SOON)
        if self._error is not None and any(query.limit == _FAULTY for query in request.queries):
            raise self._error
        return self._servicer.RetrieveRows(request, context)


def _ask_together(recommender: Recommender, gated: Gated, queries: Sequence[RecommendQuery]) -> list[Answer]:
    """The answers to queries that wait for each other, behind one that retrieval holds."""
    coalescer = recommender._coalescer
    with ThreadPoolExecutor(1 + len(queries)) as pool:
        first = pool.submit(recommender.recommend, _query())
        _until(lambda: gated.sizes == [1])
        others = []
        for query in queries:
            others.append(pool.submit(recommender.recommend, query))
            _until(lambda: len(coalescer._waiting) == len(others))
        gated.open.set()
        assert first.result(_SOON).degraded is None
        return [one.result(_SOON) for one in others]


def _query(**fields: object) -> RecommendQuery:
    query = {"user": UserQuery(user_id="fan"), "limit": 3, "deadline": time.monotonic() + 30, **fields}
    return RecommendQuery(**query)  # type: ignore[arg-type]


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + _SOON
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets ranking wait for retrieval as long as its callers do."""
    monkeypatch.setattr(retrieve, "_LONGEST_RETRIEVAL_SECONDS", _SOON)


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize(
    "error", [RuntimeError("a bug"), InvalidRequest((FieldViolation("queries[1]", "is bad"),))], ids=type
)
def test_calls_beside_one_that_retrieval_refuses_are_answered_in_full(
    small_bundle: Bundle, retrieval: RetrievalServicer, error: Exception
) -> None:
    """Proves it for calls that came together, over a socket: each is asked for again by itself."""
    gated = Gated(retrieval, error)
    with retrieval_client(gated) as client:
        queries = [_query(), _query(candidate_count=_FAULTY), _query()]
        answers = _ask_together(Recommender(small_bundle, client), gated, queries)
    assert [answer.degraded for answer in answers] == [None, Degraded.RETRIEVAL_UNAVAILABLE, None]
    assert [answer.ranked.items.sources[0] for answer in answers] == [Source.MODEL, Source.FALLBACK, Source.MODEL]
    assert [len(answer.ranked) for answer in answers] == [3, 3, 3]
    assert gated.sizes == [1, 3, 1, 1, 1]


@pytest.mark.usefixtures("patient")
def test_a_failure_of_all_is_not_asked_about_again(small_bundle: Bundle, retrieval: RetrievalServicer) -> None:
    """Proves that no call is made for each request when none of them is at fault."""
    gated = Gated(retrieval, BundleNotServed("another bundle is"))
    with retrieval_client(gated) as client:
        queries = [_query(), _query(candidate_count=_FAULTY), _query()]
        answers = _ask_together(Recommender(small_bundle, client), gated, queries)
    assert [answer.degraded for answer in answers] == [Degraded.BUNDLE_MISMATCH] * 3
    assert gated.sizes == [1, 3]


@pytest.mark.usefixtures("patient")
def test_calls_beside_one_that_the_ranker_fails_for_are_ranked(tmp_path: Path, retrieval: RetrievalServicer) -> None:
    """Proves it for a model that fails for one value of one call; only that answer is in the order of retrieval."""
    bundle, gated = Bundle.open(publish_small_bundle(tmp_path, ranker=ranker_of_early_hours())), Gated(retrieval)
    with retrieval_client(gated) as client:
        queries = [_query(context={"hour": hour}) for hour in (12, 72, 18)]
        answers = _ask_together(Recommender(bundle, client), gated, queries)
    assert [answer.degraded for answer in answers] == [None, Degraded.RANKER_FAILED, None]
    assert [bool(answer.ranked.is_scored.all()) for answer in answers] == [True, False, True]
    assert [answer.ranked.items.rows.tolist() for answer in answers] == [[9, 6, 11]] * 3
    assert gated.sizes == [1, 3]
