"""Why an answer is degraded: each cause, made to happen on a real socket, gets its own reason."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import grpc
import numpy as np
import pytest

from ranking_service import patience
from ranking_service.answer import Answer
from ranking_service.queries import RecommendQuery
from ranking_service.recommender import Recommender
from ranking_service.retrieval import RetrievalClient, RetrievalFailed
from ranking_service.stages import retrieve, score
from ranking_service.stages.resolve import Resolver
from ranking_service.timeline import Timeline
from retrieval_service.servicer import RetrievalServicer
from shortlist.bundle import Bundle
from shortlist.bundle.history import History
from shortlist.degraded import Degraded
from shortlist.errors import Overloaded
from shortlist.inference.candidates import Source
from shortlist.inference.retrieval import RetrievalQuery
from shortlist.inference.users import UserQuery
from shortlist.retrieval.v1 import retrieval_service_pb2 as pb
from shortlist.security.settings import ClientSecurity
from shortlist.wire.rows_codec import MAX_ROWS_ANSWER_BYTES
from tests.support.environment import set_proxy
from tests.support.in_process import RowsServicer, retrieval_client
from tests.support.small_bundle import BUNDLE_ID, broken_ranker, publish_small_bundle

_SOON = 10.0
Rows = pb.RetrieveRowsResponse


def _query(seconds: float = _SOON) -> RecommendQuery:
    return RecommendQuery(user=UserQuery(user_id="fan"), limit=3, deadline=time.monotonic() + seconds)


def _ask(recommender: Recommender, seconds: float = _SOON) -> Answer:
    return recommender.recommend(_query(seconds))


def _is_popular(answer: Answer) -> bool:
    return [*answer.ranked.items.sources] == [Source.FALLBACK] * 3


def _is_in_order_of_retrieval(answer: Answer) -> bool:
    items = answer.ranked.items
    from_model = [*items.sources] == [Source.MODEL] * 3
    return from_model and not answer.ranked.is_scored.any() and [*answer.ranked.scores] == [*items.scores]


class Gate(RowsServicer):
    """Answers as another servicer does, each call once it is let through."""

    def __init__(self, servicer: RetrievalServicer) -> None:
        self._servicer = servicer
        self.entered, self.open = threading.Semaphore(0), threading.Semaphore(0)
        self.sizes: list[int] = []

    def RetrieveRows(self, request: pb.RetrieveRowsRequest, context: grpc.ServicerContext) -> Rows:  # noqa: N802
        self.sizes.append(len(request.queries))
        self.entered.release()
        assert self.open.acquire(timeout=_SOON)
        return self._servicer.RetrieveRows(request, context)


@pytest.fixture
def gate(retrieval: RetrievalServicer) -> Gate:
    """A retrieval service that answers when it is let."""
    return Gate(retrieval)


@pytest.fixture
def gated(small_bundle: Bundle, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recommender]:
    """A recommender that calls it, and waits for it as long as its callers do, on a slow machine too."""
    monkeypatch.setattr(retrieve, "_LONGEST_RETRIEVAL_SECONDS", _SOON)
    # One try has all of the time: the gate lets each call through once.
    monkeypatch.setattr(patience, "_LEAST_SECONDS", _SOON)
    with retrieval_client(gate) as client:
        yield Recommender(small_bundle, client)
        gate.open.release(100)


def test_an_unreachable_retrieval_and_then_an_open_circuit_are_told_apart(small_bundle: Bundle) -> None:
    """Proves that five calls that reach nobody open the circuit, and that the next names it without a call."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        client = RetrievalClient(f"dns:///127.0.0.1:{unused.getsockname()[1]}", ClientSecurity())
        recommender = Recommender(small_bundle, client)
        answers = [_ask(recommender) for _ in range(6)]
        client.close()
    reasons = [answer.degraded for answer in answers]
    assert reasons == [Degraded.RETRIEVAL_UNAVAILABLE] * 5 + [Degraded.RETRIEVAL_CIRCUIT_OPEN]
    assert all(map(_is_popular, answers))


def test_a_proxy_of_the_environment_is_not_between_the_services(
    small_bundle: Bundle, retrieval: RetrievalServicer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proves that no answer is degraded by a variable that is meant for calls to the internet."""
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.settimeout(0.05)
        set_proxy(monkeypatch, proxy)
        with retrieval_client(retrieval) as client:
            assert _ask(Recommender(small_bundle, client)).degraded is None
        with pytest.raises(TimeoutError):
            proxy.accept()


def test_a_retrieval_that_is_too_slow_is_a_timeout(gated: Recommender) -> None:
    """Proves it for a call that finds no queue."""
    answer = _ask(gated, seconds=0.2)
    assert answer.degraded is Degraded.RETRIEVAL_TIMEOUT
    assert _is_popular(answer)


def test_a_call_that_waits_behind_others_lost_its_time_in_the_queue(gated: Recommender, gate: Gate) -> None:
    """Proves that retrieval is not blamed when it was never asked."""
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(_ask, gated)
        assert gate.entered.acquire(timeout=_SOON)
        answer = _ask(gated, seconds=0.1)
        gate.open.release()
        assert first.result(_SOON).degraded is None
    assert answer.degraded is Degraded.QUEUE_TIMEOUT
    assert _is_popular(answer)
    assert gate.sizes == [1]


def test_a_call_that_the_queue_left_little_time_lost_it_there(gated: Recommender, gate: Gate) -> None:
    """Proves that retrieval is not blamed either when it was asked at the end of a long wait."""
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(_ask, gated)
        assert gate.entered.acquire(timeout=_SOON)
        # Three quarters of its time, 0.9 s, may go by until retrieval answers.
        second = pool.submit(_ask, gated, 1.2)
        time.sleep(0.6)
        gate.open.release()
        assert first.result(_SOON).degraded is None
        assert second.result(_SOON).degraded is Degraded.QUEUE_TIMEOUT
    assert gate.sizes == [1, 1]


def test_a_call_whose_batch_waits_for_retrieval_lost_its_time_there(gated: Recommender, gate: Gate) -> None:
    """Proves that a call that another's thread runs blames the stage that the batch is in."""
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(_ask, gated)
        assert gate.entered.acquire(timeout=_SOON)
        hasty, patient = _waiting(pool, gated, 0.5), _waiting(pool, gated, _SOON)
        gate.open.release()
        assert first.result(_SOON).degraded is None
        assert hasty.result(_SOON).degraded is Degraded.RETRIEVAL_TIMEOUT
        gate.open.release()
        assert patient.result(_SOON).degraded is None
    assert gate.sizes == [1, 2]


def _waiting(pool: ThreadPoolExecutor, recommender: Recommender, seconds: float) -> Future[Answer]:
    """A call that waits in the queue."""
    length = len(recommender._coalescer._waiting)
    future = pool.submit(_ask, recommender, seconds)
    while len(recommender._coalescer._waiting) == length:
        time.sleep(0.001)
    return future


def test_retrieval_with_another_bundle_is_a_mismatch(small_bundle: Bundle, retrieval: RetrievalServicer) -> None:
    """Proves that two versions never make one answer: popular items of ranking's own bundle."""
    manifest = replace(small_bundle.manifest, bundle_id="20260102T000000-0002")
    with retrieval_client(retrieval) as client:
        answer = _ask(Recommender(replace(small_bundle, manifest=manifest), client))
    assert answer.degraded is Degraded.BUNDLE_MISMATCH
    assert _is_popular(answer)


def test_a_ranker_that_fails_leaves_the_order_of_retrieval(tmp_path: Path, retrieval: RetrievalServicer) -> None:
    """Proves that the answer has retrieval's items and scores, and says that the ranker failed."""
    bundle = Bundle.open(publish_small_bundle(tmp_path, BUNDLE_ID, ranker=broken_ranker()))
    with retrieval_client(retrieval) as client:
        answer = _ask(Recommender(bundle, client))
    assert answer.degraded is Degraded.RANKER_FAILED
    assert _is_in_order_of_retrieval(answer)


def test_too_little_time_to_rank_leaves_the_order_of_retrieval(
    recommender: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proves that retrieval's list is answered with when ranking would come too late."""
    monkeypatch.setattr(score, "_RANKING_SECONDS", 2 * _SOON)
    answer = _ask(recommender)
    assert answer.degraded is Degraded.DEADLINE
    assert _is_in_order_of_retrieval(answer)


class Lying(RowsServicer):
    """Answers as another servicer does, with the first list changed."""

    def __init__(self, servicer: RetrievalServicer, change: Callable[[pb.RowsCandidates], object]) -> None:
        self._servicer, self._change = servicer, change

    def RetrieveRows(self, request: pb.RetrieveRowsRequest, context: grpc.ServicerContext) -> Rows:  # noqa: N802
        response = self._servicer.RetrieveRows(request, context)
        self._change(response.candidates[0])
        return response


def _set(field: str, kind: type[np.generic], number: float) -> Callable[[pb.RowsCandidates], object]:
    return lambda message: setattr(message, field, np.full(5, number, dtype=kind).tobytes())


@pytest.mark.parametrize(
    "change",
    [_set("sources", np.uint8, 7), _set("rows", np.uint32, 7), _set("scores", np.float32, float("nan"))],
    ids=["another source", "one row five times", "no score"],
)
def test_an_answer_of_retrieval_that_breaks_the_contract_is_refused(
    small_bundle: Bundle, retrieval: RetrievalServicer, change: Callable[[pb.RowsCandidates], object]
) -> None:
    """Proves that a bad list is never ranked, and that the answer says why."""
    with retrieval_client(Lying(retrieval, change)) as client:
        answer = _ask(Recommender(small_bundle, client))
    assert answer.degraded is Degraded.RETRIEVAL_INVALID
    assert _is_popular(answer)


def test_more_than_a_batch_can_need_is_never_read(small_bundle: Bundle, retrieval: RetrievalServicer) -> None:
    """Proves that ranking's memory is bounded by its own limits, not by the answer."""

    def flood(message: pb.RowsCandidates) -> None:
        message.rows = bytes(MAX_ROWS_ANSWER_BYTES)

    with (
        retrieval_client(Lying(retrieval, flood)) as client,
        pytest.raises(RetrievalFailed, match="RESOURCE_EXHAUSTED"),
    ):
        client.retrieve(small_bundle, [_rows_query()], _SOON)


def test_the_text_of_an_error_is_cut_and_escaped_for_the_log(small_bundle: Bundle) -> None:
    """Proves that retrieval cannot fill ranking's log, nor write lines of its own."""

    class Talking(RowsServicer):
        def RetrieveRows(self, request: pb.RetrieveRowsRequest, context: grpc.ServicerContext) -> Rows:  # noqa: N802
            raise Overloaded("a line\nanother " * 300)

    with retrieval_client(Talking()) as client, pytest.raises(RetrievalFailed) as caught:
        client.retrieve(small_bundle, [_rows_query()], _SOON)
    text = str(caught.value)
    assert text.startswith("RESOURCE_EXHAUSTED: 'a line\\nanother ")
    assert len(text) < 250


def _rows_query() -> RetrievalQuery:
    history = History(
        rows=np.zeros(1, dtype=np.int32), values=np.zeros(1, dtype=np.float32), events=np.zeros(1, dtype=np.int64)
    )
    return RetrievalQuery(history=history, excluded=np.zeros(0, dtype=np.int64), limit=5)


def test_the_stage_that_took_the_longest_is_blamed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves that time in a stage adds up when it is entered twice, and that the last one lasts until now."""
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    timeline = Timeline()
    assert timeline.blame() is Degraded.QUEUE_TIMEOUT
    for seconds, stage in ((3, Degraded.RETRIEVAL_TIMEOUT), (2, Degraded.DEADLINE), (1, Degraded.RETRIEVAL_TIMEOUT)):
        now += seconds
        timeline.enter(stage)
    assert timeline.blame() is Degraded.QUEUE_TIMEOUT
    now += 1.5
    assert timeline.blame() is Degraded.RETRIEVAL_TIMEOUT


def test_a_second_try_keeps_the_time_of_the_first(small_bundle: Bundle) -> None:
    """Proves that time lost with one bundle still counts when the same call is tried with another."""
    query = _query()
    resolver = Resolver(small_bundle)
    options = resolver.options(query)
    assert {resolver.recommend(query, options).timeline for _ in range(2)} == {query.timeline}
