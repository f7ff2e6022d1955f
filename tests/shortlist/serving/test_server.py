"""The server, as a process of its own."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub

from shortlist.client.connections import OWN_CONNECTION
from shortlist.errors import BundleError, Overloaded
from shortlist.ranking.v1 import ranking_service_pb2 as pb
from shortlist.ranking.v1.ranking_service_pb2_grpc import RankingServiceStub
from shortlist.serving.server import EXIT_BUNDLE, EXIT_CANNOT_LISTEN, serve
from shortlist.serving.settings import ServerSettings
from shortlist.status import read_error
from tests.support.server_process import LONG, SERVICE, Process, Run, free_port, metric
from tests.support.waiting import until


def test_a_loaded_server_is_healthy_and_says_so(run: Run) -> None:
    """Once stdout says so, health is SERVING for the whole and for the service."""
    server = run()
    server.expect("serving")
    assert server.health("") == server.health(SERVICE) == HealthCheckResponse.SERVING


def test_health_answers_not_serving_while_the_bundle_loads(run: Run) -> None:
    """A probe reaches a loading server, and learns that it does not serve yet."""
    server = run("slow")
    server.expect("loading")
    assert server.health("") == server.health(SERVICE) == HealthCheckResponse.NOT_SERVING


def test_reflection_lists_the_services(run: Run) -> None:
    """So grpcurl needs no proto files."""
    listed = ProtoReflectionDescriptorDatabase(run().channel).get_services()
    assert set(listed) == {SERVICE, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}


def test_a_call_in_flight_finishes_after_sigterm(run: Run) -> None:
    """The answer arrives although the signal came first, and the process ends with 0."""
    server = run()
    server.expect("serving")
    answer = server.call(limit=LONG)
    assert server.stop() == 0
    assert answer.result().bundle_id == "b"
    assert "0 calls cut" in server.log()


def test_a_call_that_outlasts_the_drain_is_cut_and_counted(run: Run) -> None:
    """The drain ends in time, whatever the handler does, and the log counts the cut calls."""
    server = run(drain_seconds=0.2)
    server.expect("serving")
    answer = server.call(limit=6000)
    assert server.stop() == 0
    assert isinstance(answer.exception(), grpc.RpcError)
    assert "1 calls cut" in server.log()


def test_a_second_signal_cuts_the_drain_short(run: Run) -> None:
    """An impatient operator need not wait: the process ends at once, with 0."""
    server = run()
    server.expect("serving")
    server.call(limit=6000)
    server.popen.send_signal(signal.SIGINT)
    while "SIGINT" not in server.log():
        time.sleep(0.01)
    assert server.stop() == 0
    assert "1 calls cut" in server.log()


def test_a_signal_while_loading_ends_the_load(run: Run) -> None:
    """Nobody waits for a bundle that is no longer needed."""
    server = run("slow")
    server.expect("loading")
    assert server.stop() == 0


def test_an_unusable_bundle_ends_the_process_with_3(run: Run) -> None:
    """An orchestrator can tell a bad bundle from a crash, and the log has the reason."""
    server = run("broken")
    assert server.popen.wait(20) == EXIT_BUNDLE
    assert "index.faiss: is missing" in server.log()
    assert "Traceback" not in server.log()


def test_a_taken_port_ends_the_process_with_1(run: Run) -> None:
    """Two servers never share a port unnoticed."""
    taken = run().target
    second = run(listen=taken)
    assert second.popen.wait(20) == EXIT_CANNOT_LISTEN
    assert f"cannot listen on {taken}: Address already in use" in second.log()
    assert "Traceback" not in second.log()


def test_the_signal_handlers_are_restored() -> None:
    """``serve`` leaves its process as it found it."""
    former = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)

    class Broken:
        def load(self) -> None:
            assert signal.getsignal(signal.SIGTERM) != former[0]
            raise BundleError(Path("manifest.json"), "is missing")

        def watching(self) -> AbstractContextManager[None]:
            raise NotImplementedError

    settings = ServerSettings(listen="127.0.0.1:0")
    assert serve(settings=settings, service_names=[], add_services=lambda _: None, loader=Broken()) == EXIT_BUNDLE
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == former


def test_liveness_holds_while_the_server_loads_and_drains(run: Run) -> None:
    """No orchestrator restarts a server because it does not serve yet, or no longer."""
    server = run("slow")
    server.expect("loading")
    assert server.health("liveness") == HealthCheckResponse.SERVING
    assert server.health("startup") == server.health("readiness") == HealthCheckResponse.NOT_SERVING
    drained = run(drain_delay_seconds=30)
    drained.expect("serving")
    drained.popen.send_signal(signal.SIGTERM)
    drained.wait_for_health("readiness", HealthCheckResponse.NOT_SERVING)
    assert drained.health("liveness") == HealthCheckResponse.SERVING


def test_new_calls_are_accepted_during_the_drain_delay(run: Run) -> None:
    """Clients that have not noticed the drain yet are answered; a second signal ends the delay."""
    server = run(drain_delay_seconds=30)
    server.expect("serving")
    server.popen.send_signal(signal.SIGTERM)
    server.wait_for_health("", HealthCheckResponse.NOT_SERVING)
    assert server.call(limit=LONG).result().bundle_id == "b"
    assert server.stop() == 0


def test_a_watcher_of_health_sees_every_change_and_delays_nothing(run: Run) -> None:
    """A client learns of the drain without asking, and its stream does not outlast the calls."""
    server = run()
    server.expect("serving")
    states = HealthStub(server.channel).Watch(HealthCheckRequest(service=SERVICE), timeout=60)  # type: ignore[attr-defined]
    assert next(states).status == HealthCheckResponse.SERVING
    started = time.monotonic()
    server.popen.send_signal(signal.SIGTERM)
    assert next(states).status == HealthCheckResponse.NOT_SERVING
    assert server.popen.wait(20) == 0
    assert time.monotonic() - started < 10


def test_health_is_answered_on_its_own_port_too(run: Run) -> None:
    """Probes without TLS have a port of their own, which answers nothing else."""
    port = free_port()
    server = run(health_listen=f"127.0.0.1:{port}")
    server.expect("serving")
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        check = HealthStub(channel).Check(HealthCheckRequest(service="readiness"), timeout=5)  # type: ignore[attr-defined]
        assert check.status == HealthCheckResponse.SERVING
        with pytest.raises(grpc.RpcError, match="UNIMPLEMENTED"):
            RankingServiceStub(channel).Recommend(pb.RecommendRequest(), timeout=5)


def test_production_has_no_reflection(run: Run) -> None:
    """Nobody can read the schema there."""
    server = run(profile="production")
    server.expect("serving")
    with pytest.raises(grpc.RpcError, match="UNIMPLEMENTED"):
        ProtoReflectionDescriptorDatabase(server.channel).get_services()


def test_a_full_queue_refuses_calls_at_once_and_says_when_to_retry(run: Run) -> None:
    """Excess calls never wait: only as many are admitted as there are places."""
    server = run(threads=2, queue=3, metrics_listen=(metrics := f"127.0.0.1:{free_port()}"))
    server.expect("serving")
    stub = RankingServiceStub(server.channel)
    admitted = [stub.Recommend.future(pb.RecommendRequest(limit=50), timeout=60) for _ in range(5)]
    until(lambda: metric(metrics, "shortlist_queue_length") == 3)
    with pytest.raises(grpc.RpcError) as caught:
        stub.Recommend(pb.RecommendRequest(limit=50), timeout=60)
    error = read_error(caught.value)
    assert isinstance(error, Overloaded)
    assert 0 < error.retry_seconds < 10
    assert [call.result().bundle_id for call in admitted] == ["b"] * 5
    assert stub.Recommend(pb.RecommendRequest(), timeout=60).bundle_id == "b"
    assert metric(metrics, 'shortlist_shed_total{reason="queue_full"}') == 1


@pytest.mark.alone
def test_health_and_goodput_stay_at_four_times_the_capacity(run: Run) -> None:
    """No load makes a live server look dead or slow: a refusal costs almost nothing."""
    server = run(threads=2, queue=2)
    server.expect("serving")
    stop = threading.Event()
    # 2 threads at 50 ms a call handle 40 calls a second; eight callers without pause send more than four times as many.
    with ThreadPoolExecutor(8) as pool:
        counts = [pool.submit(_flood, server.target, stop) for _ in range(8)]
        started = time.monotonic()
        with grpc.insecure_channel(server.target, options=[OWN_CONNECTION]) as channel:
            seconds = sorted(_timed_check(channel) for _ in range(200))
        lasted = time.monotonic() - started
        stop.set()
        answered = sum(count.result()[0] for count in counts)
        refused = sum(count.result()[1] for count in counts)
    assert refused > 3 * answered
    # It answers as many of its 40 calls a second as ever.
    assert answered / lasted >= 0.85 * 40
    assert seconds[-2] < 0.1


def test_health_is_answered_while_every_thread_is_busy(run: Run) -> None:
    """A probe waits for no call, with or without a free place in the queue."""
    server = run(threads=1)
    server.expect("serving")
    calls = [server.call(limit=LONG)]
    calls += [RankingServiceStub(server.channel).Recommend.future(pb.RecommendRequest(limit=1)) for _ in range(3)]
    with grpc.insecure_channel(server.target, options=[OWN_CONNECTION]) as channel:
        assert max(_timed_check(channel) for _ in range(5)) < 0.1
    assert not calls[0].done()
    assert [call.result().bundle_id for call in calls] == ["b"] * 4


def test_health_is_answered_while_many_streams_are_open(run: Run) -> None:
    """Neither reflection nor watchers keep a probe waiting."""
    server = run()
    server.expect("serving")
    requests = SimpleQueue[ServerReflectionRequest]()
    stub: Any = ServerReflectionStub(server.channel)
    watch = HealthStub(server.channel).Watch  # type: ignore[attr-defined]
    streams = [stub.ServerReflectionInfo(iter(requests.get, None), timeout=60) for _ in range(8)]
    streams += [watch(HealthCheckRequest(service=SERVICE), timeout=60) for _ in range(8)]
    assert [next(stream).status for stream in streams[8:]] == [HealthCheckResponse.SERVING] * 8
    assert _timed_check(server.channel) < 1
    for stream in streams:
        stream.cancel()


def _flood(target: str, stop: threading.Event) -> tuple[int, int]:
    """Several callers without pause; returns the numbers of answered and of refused calls."""
    answered = refused = 0
    with grpc.insecure_channel(target, options=[OWN_CONNECTION]) as channel:
        stub = RankingServiceStub(channel)
        while not stop.is_set():
            calls = [stub.Recommend.future(pb.RecommendRequest(limit=5), timeout=10) for _ in range(8)]
            errors = [call.exception() for call in calls]
            answered += errors.count(None)
            refused += len([error for error in errors if error is not None])
    return answered, refused


def _timed_check(channel: grpc.Channel) -> float:
    started = time.monotonic()
    HealthStub(channel).Check(HealthCheckRequest(service="readiness"), timeout=5)  # type: ignore[attr-defined]
    return time.monotonic() - started


def test_abandoned_calls_are_never_begun(run: Run) -> None:
    """The queue drops calls that expired or were cancelled in it, and counts them."""
    server = run(threads=1, metrics_listen=(metrics := f"127.0.0.1:{free_port()}"))
    server.expect("serving")
    stub = RankingServiceStub(server.channel)
    first = server.call(limit=LONG)
    late = stub.Recommend.future(pb.RecommendRequest(limit=LONG), timeout=0.2)
    gone = stub.Recommend.future(pb.RecommendRequest(limit=LONG), timeout=60)
    until(lambda: metric(metrics, "shortlist_queue_length") == 2)
    gone.cancel()
    assert late.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert first.result().bundle_id == "b"
    # The next line of a handler is this call's, not one of theirs.
    assert server.call(limit=LONG).result().bundle_id == "b"
    assert metric(metrics, 'shortlist_cancelled_total{where="queue"}') == 2


@pytest.mark.parametrize(("size", "code"), [(4_000_000, None), (4_300_000, "RESOURCE_EXHAUSTED")])
def test_a_message_may_have_four_mebibytes(run: Run, size: int, code: str | None) -> None:
    """Both sides of the limit are tried."""
    server = run()
    server.expect("serving")
    request = pb.RecommendRequest(exclude_item_ids=["x" * size])
    assert _failure(server, request) == code


@pytest.mark.parametrize(("size", "code"), [(6_000, None), (12_000, "RESOURCE_EXHAUSTED")])
def test_metadata_may_have_eight_kibibytes(run: Run, size: int, code: str | None) -> None:
    """Both sides of the limit are tried."""
    server = run()
    server.expect("serving")
    assert _failure(server, pb.RecommendRequest(), metadata=[("note", "x" * size)]) == code


def _failure(server: Process, request: pb.RecommendRequest, **arguments: Any) -> str | None:  # noqa: ANN401
    try:
        RankingServiceStub(server.channel).Recommend(request, timeout=30, **arguments)
    except grpc.RpcError as error:
        return str(error.code().name)
    return None
