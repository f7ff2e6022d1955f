"""A server as a process of its own, for tests of what it does to its callers."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import signal
import socket
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub

from shortlist.ranking.v1 import ranking_service_pb2 as pb
from shortlist.ranking.v1.ranking_service_pb2_grpc import RankingServiceStub
from testbed.services import announced
from tests.support.waiting import until

SERVICE = "shortlist.ranking.v1.RankingService"
# The limit of a call whose handler reports its beginning.
LONG = 100
# Arguments: the settings as JSON, and the behaviour of the load. A call lasts its limit in hundredths of a second, and
# its answer has ``candidate_count`` bytes.
SCRIPT = f"""
import contextlib, ctypes, json, os, sys, threading, time
from pathlib import Path
import grpc
from shortlist.errors import BundleError
from shortlist.observability.settings import Observability
from shortlist.ranking.v1 import ranking_service_pb2 as pb
from shortlist.ranking.v1.ranking_service_pb2_grpc import RankingServiceServicer, add_RankingServiceServicer_to_server
from shortlist.security.settings import ServerSecurity
from shortlist.serving.pools import CallingThread, answered_in
from shortlist.serving.server import serve
from shortlist.serving.settings import ServerSettings
from shortlist.serving.watchdog import Watchdog

class Slow(RankingServiceServicer):
    def Recommend(self, request, context):
        if request.limit >= {LONG}:
            os.write(1, b"called\\n")
        time.sleep(request.limit / 100)
        return pb.RecommendResponse(bundle_id="b" * max(1, request.candidate_count))

class Loading:
    def load(self):
        if sys.argv[2] == "broken":
            raise BundleError(Path("index.faiss"), "is missing")
        if sys.argv[2] == "slow":
            print("loading", flush=True)
            # In steps, as a load is: Python acts on a signal between them.
            while True:
                time.sleep(0.05)

    def watching(self):
        if sys.argv[2] == "threadless":
            threading.Thread.start = self.no_thread
        if sys.argv[2] == "broken gRPC":
            # As any error does that gRPC does not catch.
            for thread in threading.enumerate():
                if "(_serve)" in thread.name:
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(KeyError))
        return contextlib.nullcontext()

    def no_thread(self):
        raise RuntimeError("can't start new thread")

def add_services(server):
    add_RankingServiceServicer_to_server(Slow(), server)
    # A handler that blocks gRPC's serving thread.
    blocks = answered_in(CallingThread(), lambda requests, context: threading.Event().wait())
    handlers = {{"Block": grpc.stream_unary_rpc_method_handler(blocks)}}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("grpc.test", handlers),))

if sys.argv[2] == "watched":
    # Ten seconds otherwise.
    Watchdog.__init__.__kwdefaults__.update(look_seconds=0.3, looks=8)
given = json.loads(sys.argv[1])
metrics = Observability(metrics_listen=given.pop("metrics_listen", ""))
security = ServerSecurity(**{{name: Path(path) for name, path in given.pop("security", {{}}).items()}})
sys.exit(serve(
    settings=ServerSettings(observability=metrics, security=security, **given),
    service_names=["{SERVICE}"],
    add_services=add_services,
    loader=Loading(),
))
"""


class Process:
    """A running server: its port, its output, and a channel to it."""

    def __init__(self, popen: subprocess.Popen[str], stderr: Path) -> None:
        self.popen, self._stderr = popen, stderr
        self.stdout: IO[str] = popen.stdout  # type: ignore[assignment]
        self.target = announced(self.stdout.readline()).removeprefix("listening on ")
        self.channel = grpc.insecure_channel(self.target)

    def expect(self, line: str) -> None:
        """Waits for the next line of stdout."""
        assert announced(self.stdout.readline()) == line

    def health(self, service: str) -> int:
        """The health that the server reports."""
        status: int = (
            HealthStub(self.channel)
            .Check(  # type: ignore[attr-defined]  # its stubs leave the methods out
                HealthCheckRequest(service=service), timeout=5
            )
            .status
        )
        return status

    def wait_for_health(self, service: str, status: int) -> None:
        """Waits until the server reports a health."""
        until(lambda: self.health(service) == status)

    def call(self, limit: int) -> grpc.Future[pb.RecommendResponse]:
        """Starts a call, and returns once its handler runs."""
        future = RankingServiceStub(self.channel).Recommend.future(pb.RecommendRequest(limit=limit), timeout=120)
        self.expect("called")
        return future

    def stop(self) -> int:
        """Sends SIGTERM; returns the exit code."""
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(20)

    def log(self) -> str:
        """The lines of stderr."""
        return self._stderr.read_text()


Run = Callable[..., Process]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def metric(address: str, name: str) -> float:
    """The value of a series, by the beginning of its line."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return next(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))
