"""A server beside callers who do what no gRPC library does."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import collections
import contextlib
import re
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from shortlist.client.connections import OWN_CONNECTION
from shortlist.errors import Overloaded
from shortlist.ranking.v1 import ranking_service_pb2 as pb
from shortlist.ranking.v1.ranking_service_pb2_grpc import RankingServiceStub
from shortlist.serving.server import EXIT_STOPPED_SERVING
from shortlist.status import read_error
from testbed.http2 import ACK, END_STREAM, Frame, FrameKind, Http2Connection
from tests.support.server_process import LONG, SERVICE, Process, Run, free_port, metric
from tests.support.waiting import until

RECOMMEND, CHECK, WATCH = f"/{SERVICE}/Recommend", "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"
# An error code of RFC 9113, and none of it.
ENHANCE_YOUR_CALM, ANSWERED = 11, -1
READY = HealthCheckRequest(service="readiness")


@pytest.mark.parametrize("streams", [4, 400])
def test_calls_without_their_message_keep_nobody_out(run: Run, streams: int) -> None:
    """No thread waits for a message that does not come: probes, watchers and calls are answered beside any number."""
    probes = f"127.0.0.1:{free_port()}"
    server = run(threads=2, queue=2, health_listen=probes)
    server.expect("serving")
    with Http2Connection(server.target) as raw, Http2Connection(probes) as raw_probes:
        for _ in range(streams):
            for method in (CHECK, WATCH, RECOMMEND):
                raw.open(method)
                raw_probes.open(method)
        raw.flush()
        raw_probes.flush()
        for address in (server.target, probes):
            with grpc.insecure_channel(address, options=[OWN_CONNECTION]) as channel:
                health = HealthStub(channel)
                assert health.Check(READY, timeout=0.9).status == HealthCheckResponse.SERVING  # type: ignore[attr-defined]
                assert next(health.Watch(READY, timeout=0.9)).status == HealthCheckResponse.SERVING  # type: ignore[attr-defined]
        assert _recommend(server, pb.RecommendRequest()) == "b"


def test_a_call_without_its_message_ends_after_a_second(run: Run) -> None:
    """The server cancels it, and says in a metric why."""
    server = run(metrics_listen=(metrics := f"127.0.0.1:{free_port()}"))
    server.expect("serving")
    with Http2Connection(server.target) as raw:
        stream = raw.open(RECOMMEND)
        raw.flush()
        assert any(frame.kind == FrameKind.RST_STREAM and frame.stream == stream for frame in raw.frames(3))
    assert metric(metrics, 'shortlist_cancelled_total{where="message"}') == 1


def test_a_call_that_ends_without_a_message_is_refused(run: Run) -> None:
    """The caller learns that its request was missing."""
    server = run()
    server.expect("serving")
    with Http2Connection(server.target) as raw:
        stream = raw.open(RECOMMEND)
        raw.add(Frame(kind=FrameKind.DATA, flags=END_STREAM, stream=stream))
        raw.flush()
        status = next(frame for frame in raw.frames(3) if frame.kind == FrameKind.HEADERS and frame.stream == stream)
    assert b"request is missing" in status.payload


def test_answers_that_nobody_reads_fill_no_memory(run: Run) -> None:
    """A caller who opens no window has at most a few answers kept for it, and keeps no place for long."""
    server = run(threads=8, queue=120, metrics_listen=(metrics := f"127.0.0.1:{free_port()}"))
    server.expect("serving")
    before = _resident(server)
    request = pb.RecommendRequest(candidate_count=1_000_000).SerializeToString()
    with Http2Connection(server.target, window=0) as raw:
        for _ in range(3):
            for _ in range(100):
                raw.call(RECOMMEND, request)
            raw.flush()
            assert _recommend(server, pb.RecommendRequest()) == "b"
        until(lambda: metric(metrics, 'shortlist_cancelled_total{where="answer"}') >= 200)
        # All of them would take 300 MB. A busy server frees those that it has cancelled a moment later.
        until(lambda: _resident(server) - before < 150)
    assert _recommend(server, pb.RecommendRequest()) == "b"


def test_calls_that_are_cancelled_in_the_queue_leave_no_message_behind(run: Run) -> None:
    """A caller who sends large messages and cancels them fills no memory while the threads are busy."""
    server = run(threads=1, queue=4)
    server.expect("serving")
    busy = server.call(limit=8 * LONG)
    before = _resident(server)
    large = pb.RecommendRequest(exclude_item_ids=["x" * 4_000_000])
    for _ in range(60):
        call = RankingServiceStub(server.channel).Recommend.future(large, timeout=30)
        time.sleep(0.01)
        call.cancel()
    until(lambda: _resident(server) - before < 100)
    assert not busy.done()


@pytest.mark.parametrize("connections", [1, 5])
def test_a_burst_is_answered_or_refused_with_a_reason(run: Run, connections: int) -> None:
    """gRPC ends nothing behind the back of admission: each caller learns when to try again, and each is counted."""
    server = run(threads=2, queue=2, metrics_listen=(metrics := f"127.0.0.1:{free_port()}"))
    server.expect("serving")
    with contextlib.ExitStack() as open_channels:
        channels = [grpc.insecure_channel(server.target, options=[OWN_CONNECTION]) for _ in range(connections)]
        stubs = [RankingServiceStub(open_channels.enter_context(channel)) for channel in channels]
        count = 4000 // connections
        calls = [
            stub.Recommend.future(pb.RecommendRequest(limit=1), timeout=60) for _ in range(count) for stub in stubs
        ]
        errors = [error for call in calls if (error := call.exception()) is not None]
    codes = collections.Counter(error.code().name for error in errors)  # type: ignore[attr-defined]
    assert set(codes) == {"RESOURCE_EXHAUSTED"}
    assert all(isinstance(read_error(error), Overloaded) for error in errors)  # type: ignore[arg-type]
    assert metric(metrics, 'shortlist_shed_total{reason="queue_full"}') == len(errors)
    assert metric(metrics, "grpc_server_started_total") == 4000


def test_a_burst_of_one_connection_delays_others_by_few_of_its_calls(run: Run) -> None:
    """Connections take turns at the threads, so that a caller does not wait for another one's whole queue."""
    server = run(threads=2, queue=60)
    server.expect("serving")
    with contextlib.ExitStack() as opened:
        channels = [opened.enter_context(_connected(server.target)) for _ in range(2)]
        bursting, honest = (RankingServiceStub(channel).Recommend for channel in channels)
        burst = [bursting.future(pb.RecommendRequest(limit=5), timeout=60) for _ in range(400)]
        until(lambda: any(call.done() for call in burst))
        assert [honest(pb.RecommendRequest(), timeout=20).bundle_id for _ in range(3)] == ["b"] * 3
        ended = [call for call in burst if call.done()]
    assert sum(call.exception() is None for call in ended) < 30


def test_resets_of_one_connection_cost_others_nothing(run: Run) -> None:
    """A caller who opens and cancels calls without pause has no other call refused or cancelled."""
    server = run(threads=4, queue=60)
    server.expect("serving")
    stop = threading.Event()

    def reset() -> None:
        request = pb.RecommendRequest().SerializeToString()
        with Http2Connection(server.target) as raw:
            while not stop.is_set():
                for _ in range(100):
                    raw.reset(raw.call(RECOMMEND, request))
                raw.flush()
                collections.deque(raw.frames(0.001), maxlen=0)

    resetting = threading.Thread(target=reset)
    resetting.start()
    try:
        with grpc.insecure_channel(server.target, options=[OWN_CONNECTION]) as channel:
            recommend = RankingServiceStub(channel).Recommend
            answers = {recommend(pb.RecommendRequest(), timeout=20).bundle_id for _ in range(10)}
    finally:
        stop.set()
        resetting.join()
    assert answers == {"b"}


def test_without_further_threads_the_server_drains(run: Run) -> None:
    """At the system's limit on threads a call in flight still gets its time, and the process ends with 0."""
    server = run("threadless", threads=1)
    server.expect("serving")
    answer = server.call(limit=100)
    assert server.stop() == 0
    assert answer.result().bundle_id == "b"
    assert "Traceback" not in server.log()


@pytest.mark.parametrize("settings", [{}, {"health_listen": "127.0.0.1:0"}])
def test_a_process_that_has_stopped_serving_ends(run: Run, settings: dict[str, str]) -> None:
    """An orchestrator replaces a process whose serving thread is gone; the code tells it from other ends."""
    server = run("broken gRPC", **settings)
    assert server.popen.wait(20) == EXIT_STOPPED_SERVING
    assert "gRPC has stopped serving" in server.log()


def test_a_process_whose_serving_thread_is_blocked_ends(run: Run) -> None:
    """A liveness probe has a port and a thread of its own, so it is well; the process finds out by itself."""
    probes = f"127.0.0.1:{free_port()}"
    server = run("watched", health_listen=probes)
    server.expect("serving")
    block: grpc.StreamUnaryMultiCallable[bytes, bytes] = server.channel.stream_unary("/grpc.test/Block")
    call = block.future(iter(()), timeout=20)
    until(lambda: not _is_live(server.target))
    assert _is_live(probes)
    assert server.popen.wait(20) == EXIT_STOPPED_SERVING
    assert "gRPC has stopped serving" in server.log()
    call.cancel()


def test_calls_beyond_the_limit_that_a_new_connection_has_not_read_cost_its_other_calls_nothing(run: Run) -> None:
    """Until a caller acknowledges the limit of 200, gRPC resets further calls; no handler begins them.

    The first 200 are answered, and so is each call after the acknowledgement, on the same connection.
    """
    server = run(threads=8, queue=400, metrics_listen=(metrics := f"127.0.0.1:{free_port()}"))
    server.expect("serving")
    with Http2Connection(server.target) as raw:
        streams = [raw.call(RECOMMEND, b"") for _ in range(450)]
        raw.flush()
        ends = _ends(raw, streams)
        assert [ends[stream] for stream in streams] == [ANSWERED] * 200 + [ENHANCE_YOUR_CALM] * 250
        assert metric(metrics, "grpc_server_started_total") == 200
        raw.add(Frame(kind=FrameKind.SETTINGS, flags=ACK))
        later = [raw.call(RECOMMEND, b"") for _ in range(20)]
        raw.flush()
        assert set(_ends(raw, later).values()) == {ANSWERED}


def test_a_half_open_call_does_not_outlast_the_drain(run: Run) -> None:
    """A stop takes no longer for a message that does not come."""
    server = run()
    server.expect("serving")
    with Http2Connection(server.target) as raw:
        raw.open(RECOMMEND)
        raw.flush()
        server.popen.send_signal(signal.SIGTERM)
        assert server.popen.wait(10) == 0


def _is_live(address: str) -> bool:
    with grpc.insecure_channel(address, options=[OWN_CONNECTION]) as channel:
        try:
            HealthStub(channel).Check(HealthCheckRequest(service="liveness"), timeout=0.5)  # type: ignore[attr-defined]
        except grpc.RpcError:
            return False
    return True


def _ends(raw: Http2Connection, streams: Sequence[int]) -> dict[int, int]:
    """For each stream `ANSWERED`, or the error code of its reset."""
    ends = dict[int, int]()
    for frame in raw.frames(5):
        if frame.kind == FrameKind.RST_STREAM:
            ends[frame.stream] = int.from_bytes(frame.payload)
        elif frame.kind == FrameKind.HEADERS and frame.flags & END_STREAM:
            ends[frame.stream] = ANSWERED
        if ends.keys() >= set(streams):
            return ends
    raise AssertionError(f"no end of {len(streams) - len(ends)} calls")


def _connected(target: str) -> grpc.Channel:
    return grpc.insecure_channel(target, options=[OWN_CONNECTION])


def _recommend(server: Process, request: pb.RecommendRequest) -> str:
    with _connected(server.target) as channel:
        return RankingServiceStub(channel).Recommend(request, timeout=5).bundle_id


def _resident(server: Process) -> int:
    """The process's own memory, in MB."""
    status = Path(f"/proc/{server.popen.pid}/status").read_text()
    found = re.search(r"RssAnon:\s+(\d+) kB", status)
    assert found is not None
    return int(found.group(1)) // 1000
