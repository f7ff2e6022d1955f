"""The server shell, as a process of its own."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from shortlist.errors import BundleError
from shortlist.ranking.v1 import ranking_service_pb2 as pb
from shortlist.ranking.v1.ranking_service_pb2_grpc import RankingServiceStub
from shortlist.server import EXIT_BUNDLE, EXIT_CANNOT_LISTEN, serve
from shortlist.settings import ServerSettings

SERVICE = "shortlist.ranking.v1.RankingService"
# Arguments: where to listen, drain seconds, what loading does. A call takes as many tenths of a second as its limit.
SCRIPT = f"""
import sys, time
from pathlib import Path
from shortlist.errors import BundleError
from shortlist.ranking.v1 import ranking_service_pb2 as pb
from shortlist.ranking.v1.ranking_service_pb2_grpc import RankingServiceServicer, add_RankingServiceServicer_to_server
from shortlist.server import serve
from shortlist.settings import ServerSettings

class Slow(RankingServiceServicer):
    def Recommend(self, request, context):
        print("called", flush=True)
        time.sleep(request.limit / 10)
        return pb.RecommendResponse(bundle_id="b")

def load():
    if sys.argv[3] == "broken":
        raise BundleError(Path("index.faiss"), "is missing")
    if sys.argv[3] == "slow":
        print("loading", flush=True)
        time.sleep(600)

sys.exit(serve(
    settings=ServerSettings(listen=sys.argv[1], drain_seconds=float(sys.argv[2])),
    service_names=["{SERVICE}"],
    add_services=lambda server: add_RankingServiceServicer_to_server(Slow(), server),
    load=load,
))
"""


class Process:
    """A running server: its port, what it printed, and a channel to it."""

    def __init__(self, popen: subprocess.Popen[str], stderr: Path) -> None:
        self.popen, self._stderr = popen, stderr
        self.stdout: IO[str] = popen.stdout  # type: ignore[assignment]
        self.target = self.stdout.readline().strip().removeprefix("listening on ")
        self.channel = grpc.insecure_channel(self.target)

    def expect(self, line: str) -> None:
        assert self.stdout.readline().strip() == line

    def health(self, service: str) -> int:
        status: int = (
            HealthStub(self.channel)
            .Check(  # type: ignore[attr-defined]  # its stubs leave the methods out
                HealthCheckRequest(service=service), timeout=5
            )
            .status
        )
        return status

    def call(self, limit: int) -> grpc.Future[pb.RecommendResponse]:
        """Starts a call, and returns once the handler has it."""
        future = RankingServiceStub(self.channel).Recommend.future(pb.RecommendRequest(limit=limit), timeout=120)
        self.expect("called")
        return future

    def stop(self) -> int:
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(20)

    def log(self) -> str:
        return self._stderr.read_text()


Run = Callable[..., Process]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Starts servers, and kills those that a failed test leaves."""
    script, processes = tmp_path / "server.py", list[Process]()
    script.write_text(SCRIPT)

    def run(load: str = "quick", *, listen: str = "127.0.0.1:0", drain_seconds: float = 30) -> Process:
        stderr = tmp_path / f"stderr-{len(processes)}"
        command = [sys.executable, str(script), listen, str(drain_seconds), load]
        with stderr.open("w") as file:
            popen = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=file, text=True)
        processes.append(Process(popen, stderr))
        return processes[-1]

    yield run
    for process in processes:
        process.popen.kill()
        process.popen.wait()
        process.channel.close()
        process.stdout.close()


def test_a_loaded_server_is_healthy_and_says_so(run: Run) -> None:
    """Proves that health answers SERVING for the whole and for the service, by the time stdout says so."""
    server = run()
    server.expect("serving")
    assert server.health("") == server.health(SERVICE) == HealthCheckResponse.SERVING


def test_health_answers_not_serving_while_the_bundle_loads(run: Run) -> None:
    """Proves that a prober reaches a server that loads, and is told that it does not serve yet."""
    server = run("slow")
    server.expect("loading")
    assert server.health("") == server.health(SERVICE) == HealthCheckResponse.NOT_SERVING


def test_reflection_lists_the_services(run: Run) -> None:
    """Proves that grpcurl needs no proto files."""
    listed = ProtoReflectionDescriptorDatabase(run().channel).get_services()
    assert set(listed) == {SERVICE, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}


def test_a_call_in_flight_finishes_after_sigterm(run: Run) -> None:
    """Proves the drain: the answer arrives although the signal came before it, and the process ends with 0."""
    server = run()
    server.expect("serving")
    answer = server.call(limit=10)
    assert server.stop() == 0
    assert answer.result().bundle_id == "b"
    assert "0 calls cut" in server.log()


def test_a_call_that_outlasts_the_drain_is_cut_and_counted(run: Run) -> None:
    """Proves that the drain ends in time, whatever the handler does, and that the log says what it cost."""
    server = run(drain_seconds=0.2)
    server.expect("serving")
    answer = server.call(limit=600)
    assert server.stop() == 0
    assert isinstance(answer.exception(), grpc.RpcError)
    assert "1 calls cut" in server.log()


def test_a_second_signal_cuts_the_drain_short(run: Run) -> None:
    """Proves that an impatient person need not wait for the drain: the process ends at once, with 0."""
    server = run()
    server.expect("serving")
    server.call(limit=600)
    server.popen.send_signal(signal.SIGINT)
    while "SIGINT" not in server.log():
        time.sleep(0.01)
    assert server.stop() == 0
    assert "1 calls cut" in server.log()


def test_a_signal_while_loading_ends_the_load(run: Run) -> None:
    """Proves that nobody has to wait for a bundle that is no longer wanted."""
    server = run("slow")
    server.expect("loading")
    assert server.stop() == 0


def test_a_bundle_that_cannot_be_used_ends_the_process_with_3(run: Run) -> None:
    """Proves that an orchestrator can tell a bad bundle from a crash, and a person what is wrong with it."""
    server = run("broken")
    assert server.popen.wait(20) == EXIT_BUNDLE
    assert "index.faiss: is missing" in server.log()
    assert "Traceback" not in server.log()


def test_a_taken_port_ends_the_process_with_1(run: Run) -> None:
    """Proves that two servers never share a port without anybody noticing."""
    taken = run().target
    second = run(listen=taken)
    assert second.popen.wait(20) == EXIT_CANNOT_LISTEN
    assert f"cannot listen on {taken}" in second.log()
    assert "Traceback" not in second.log()


def test_the_signal_handlers_are_given_back() -> None:
    """Proves that serve leaves its process as it found it."""
    former = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)

    def load() -> None:
        assert signal.getsignal(signal.SIGTERM) != former[0]
        raise BundleError(Path("manifest.json"), "is missing")

    settings = ServerSettings(listen="127.0.0.1:0")
    assert serve(settings=settings, service_names=[], add_services=lambda _: None, load=load) == EXIT_BUNDLE
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == former
