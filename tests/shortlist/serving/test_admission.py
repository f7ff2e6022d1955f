"""The pool of a server's threads when the system refuses further threads."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from grpc import _server
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub

from shortlist.client.connections import OWN_CONNECTION
from shortlist.errors import Overloaded
from shortlist.ranking.v1 import ranking_service_pb2 as pb
from shortlist.ranking.v1.ranking_service_pb2_grpc import (
    RankingServiceServicer,
    RankingServiceStub,
    add_RankingServiceServicer_to_server,
)
from shortlist.serving import admission
from shortlist.serving.admission import AdmissionPool
from shortlist.serving.crowds import Crowds
from shortlist.serving.health import Health
from shortlist.serving.interceptor import CallInterceptor
from shortlist.status import read_error
from shortlist.type.v1.user_pb2 import User
from tests.support.waiting import until


class Gated(RankingServiceServicer):
    """Answers once the gate is open, with the name of its thread."""

    def __init__(self) -> None:
        self.begun, self.gate = threading.Semaphore(0), threading.Event()
        self.users = list[str]()

    def Recommend(self, request: pb.RecommendRequest, context: grpc.ServicerContext) -> pb.RecommendResponse:  # noqa: N802
        self.users.append(request.user.user_id)
        self.begun.release()
        self.gate.wait(10)
        return pb.RecommendResponse(bundle_id=threading.current_thread().name)

    def Rank(self, request: pb.RankRequest, context: grpc.ServicerContext) -> pb.RankResponse:  # noqa: N802
        raise NotImplementedError

    def Similar(self, request: pb.SimilarRequest, context: grpc.ServicerContext) -> pb.SimilarResponse:  # noqa: N802
        raise NotImplementedError

    def GetBundle(self, request: pb.GetBundleRequest, context: grpc.ServicerContext) -> pb.GetBundleResponse:  # noqa: N802
        raise NotImplementedError


@pytest.fixture
def pool(request: pytest.FixtureRequest) -> Iterator[AdmissionPool]:
    """A pool of four threads, one of them started; a test may ask for another number."""
    with AdmissionPool(threads=getattr(request, "param", 4), queue=4) as pool:
        yield pool


@pytest.fixture
def gated() -> Gated:
    """The servicer of ``channel``."""
    return Gated()


@pytest.fixture
def target(pool: AdmissionPool, gated: Gated) -> Iterator[str]:
    """The address of a server of that pool."""
    server = grpc.server(pool, interceptors=[CallInterceptor()])
    add_RankingServiceServicer_to_server(gated, server)
    Health([]).add_to(server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    gated.gate.set()
    server.stop(None)


@pytest.fixture
def channel(target: str) -> Iterator[grpc.Channel]:
    """A channel to it."""
    with _connected(target) as channel:
        yield channel


@contextlib.contextmanager
def _connected(target: str) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(target, options=[OWN_CONNECTION]) as channel:
        grpc.channel_ready_future(channel).result(10)
        yield channel


@pytest.fixture
def no_more_threads(channel: grpc.Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the server's start on, the system starts no thread, as at a limit."""
    own = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        # The client under test is in this process too.
        if thread.name.startswith(("call", "watch", "probe")):
            raise RuntimeError("can't start new thread")
        own(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)


@pytest.mark.usefixtures("no_more_threads")
def test_without_further_threads_a_call_waits_for_an_existing_one(
    channel: grpc.Channel, pool: AdmissionPool, gated: Gated
) -> None:
    """A limit on threads makes a call wait at a peak, but does not end the server."""
    recommend = RankingServiceStub(channel).Recommend
    busy = recommend.future(pb.RecommendRequest(), timeout=10)
    assert gated.begun.acquire(timeout=5)
    waiting = recommend.future(pb.RecommendRequest(), timeout=10)
    until(lambda: pool.admitted == 2)
    gated.gate.set()
    assert {busy.result().bundle_id, waiting.result().bundle_id} == {"call_0"}
    until(lambda: pool.admitted == 0)


@pytest.mark.usefixtures("no_more_threads")
def test_without_further_threads_health_is_answered(channel: grpc.Channel) -> None:
    """A probe needs no new thread, whether it asks once or watches."""
    health = HealthStub(channel)
    request = HealthCheckRequest(service="liveness")
    for _ in range(8):
        assert health.Check(request, timeout=5).status == 1  # type: ignore[attr-defined]
        assert next(health.Watch(request, timeout=5)).status == 1  # type: ignore[attr-defined]


def test_a_place_is_kept_until_the_call_has_ended(channel: grpc.Channel, pool: AdmissionPool, gated: Gated) -> None:
    """A call that its caller has cancelled keeps its place only as long as its thread works."""
    calls = [RankingServiceStub(channel).Recommend.future(pb.RecommendRequest(), timeout=10) for _ in range(6)]
    for _ in range(4):
        assert gated.begun.acquire(timeout=5)
    until(lambda: pool.admitted == 6)
    for call in calls:
        call.cancel()
    until(lambda: pool.admitted == 4)
    gated.gate.set()
    until(lambda: pool.admitted == 0)


def test_a_full_queue_refuses_the_calls_of_the_busiest_connection(
    target: str, channel: grpc.Channel, pool: AdmissionPool, gated: Gated
) -> None:
    """A connection that fills the queue leaves others their share, and learns when to try its own calls again."""
    busy = [RankingServiceStub(channel).Recommend.future(pb.RecommendRequest(), timeout=20) for _ in range(8)]
    until(lambda: pool.admitted == 8)
    with _connected(target) as another:
        late = [RankingServiceStub(another).Recommend.future(pb.RecommendRequest(), timeout=20) for _ in range(5)]
        until(lambda: sum(call.done() for call in [*busy, *late]) == 5)
        gated.gate.set()
        errors = [[call.exception() for call in calls] for calls in (busy, late)]
    # Four are in threads, and each connection has two of the four places in the queue.
    assert [len(of_one) - of_one.count(None) for of_one in errors] == [2, 3]
    refused = [read_error(error) for of_one in errors for error in of_one if error is not None]  # type: ignore[arg-type]
    assert all(isinstance(error, Overloaded) and error.retry_seconds > 0 for error in refused)
    until(lambda: pool.admitted == 0)


def test_connections_take_turns_at_the_threads() -> None:
    """A connection with one call waits for one call of each other, and a connection alone has every turn."""
    crowds = Crowds[str]()
    for connection, call in ((b"a", "a1"), (b"a", "a2"), (b"a", "a3"), (b"a", "a4"), (b"b", "b1"), (b"c", "c1")):
        crowds.add(connection, call)
    assert crowds.oldest() == "a1"
    crowds.remove(b"a", "a3")
    turns = list[str]()
    while (first := crowds.next()) is not None:
        crowds.remove(first[0].encode(), first)
        turns.append(first)
    assert turns == ["a1", "b1", "c1", "a2", "a4"]


@pytest.mark.parametrize("pool", [1], indirect=True)
@pytest.mark.parametrize(("late", "order"), [(60.0, "a0 a1 a2 a3 b0"), (0.0, "a0 a1 b0 a2 a3")])
def test_connections_take_turns_only_while_calls_wait_for_long(
    target: str,
    channel: grpc.Channel,
    pool: AdmissionPool,
    gated: Gated,
    late: float,
    order: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Many callers of one connection, such as a proxy, lose no turn to others while the queue moves fast."""
    monkeypatch.setattr(admission, "_LATE_SECONDS", late)
    calls = list[Any]()
    with _connected(target) as another:
        for user in ("a0", "a1", "a2", "a3", "b0"):
            stub = RankingServiceStub(another if user == "b0" else channel)
            calls.append(stub.Recommend.future(_of(user), timeout=20))
            until(lambda: pool.admitted == len(calls))
        gated.gate.set()
        for call in calls:
            call.result()
    assert gated.users == order.split()


def test_calls_that_are_cancelled_in_the_queue_cost_others_no_turn(
    target: str, channel: grpc.Channel, pool: AdmissionPool, gated: Gated
) -> None:
    """Every call that stays in the queue is handled, whichever calls before and behind it leave."""
    calls = [RankingServiceStub(channel).Recommend.future(_of(f"a{n}"), timeout=20) for n in range(8)]
    until(lambda: pool.admitted == 8)
    for call in calls[4:6]:
        call.cancel()
    until(lambda: pool.admitted == 6)
    with _connected(target) as another:
        late = [RankingServiceStub(another).Recommend.future(_of(f"b{n}"), timeout=20) for n in range(2)]
        until(lambda: pool.admitted == 8)
        late[0].cancel()
        until(lambda: pool.admitted == 7)
        gated.gate.set()
        for call in (*calls[:4], *calls[6:], late[1]):
            call.result()
    assert sorted(gated.users) == ["a0", "a1", "a2", "a3", "a6", "a7", "b1"]


def test_an_error_while_a_call_is_taken_ends_that_call_alone(
    channel: grpc.Channel, pool: AdmissionPool, gated: Gated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proves that gRPC's serving thread lives on: the next call is answered."""
    gated.gate.set()
    with monkeypatch.context() as broken:
        broken.setattr(pool, "accepts", lambda call: 1 / 0)
        with pytest.raises(grpc.RpcError) as raised:
            RankingServiceStub(channel).Recommend(_of("first"), timeout=5)
    assert raised.value.code() is grpc.StatusCode.CANCELLED
    RankingServiceStub(channel).Recommend(_of("second"), timeout=5)
    assert gated.users == ["second"]


def test_another_release_of_grpc_is_named_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server whose gRPC handles calls in another way must not start and answer none."""
    monkeypatch.setattr(_server, "_unary_response_in_pool", lambda call, handler: None)
    with pytest.raises(ImportError, match=f"cannot serve with grpcio {grpc.__version__}"):
        AdmissionPool(threads=1, queue=0)


def _of(user_id: str) -> pb.RecommendRequest:
    return pb.RecommendRequest(user=User(user_id=user_id))
