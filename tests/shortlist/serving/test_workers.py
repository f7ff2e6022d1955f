"""Several processes on one port, with a service that only answers its process id."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from shortlist.client import Recommender
from shortlist.client.connections import CONNECTIONS, OWN_CONNECTION
from shortlist.ranking.v1 import ranking_service_pb2 as pb
from shortlist.ranking.v1.ranking_service_pb2_grpc import RankingServiceStub

_SECONDS = 30.0
# A call takes as many tenths of a second as its limit, and is answered with the worker's process id. It waits so long,
# or computes when it keeps seen items. While a file is named "broken", no worker can load; the first that takes the
# file "slow" away loads for ever.
PACKAGE = """
import argparse, contextlib, os, sys, time
from pathlib import Path
from shortlist.errors import BundleError
from shortlist.serving import workers
from shortlist.ranking.v1 import ranking_service_pb2 as pb
from shortlist.ranking.v1.ranking_service_pb2_grpc import RankingServiceServicer, add_RankingServiceServicer_to_server
from shortlist.serving.server import serve
from shortlist.serving.settings import add_server_settings, read_server_settings
from shortlist.serving.workers import supervise

workers._SILENT_SECONDS = float(os.environ.get("SILENT_SECONDS", "10"))

class Slow(RankingServiceServicer):
    def Recommend(self, request, context):
        if request.limit > 1:
            os.write(1, b"called\\n")
        end = time.monotonic() + request.limit / 10
        while time.monotonic() < end:
            if not request.keep_seen:
                time.sleep(request.limit / 10)
        return pb.RecommendResponse(bundle_id=str(os.getpid()))

class Loading:
    def load(self):
        if Path("broken").exists():
            raise BundleError(Path("index.faiss"), "is missing")
        try:
            Path("slow").unlink()
        except FileNotFoundError:
            return
        print("loading", flush=True)
        time.sleep(600)

    def watching(self):
        return contextlib.nullcontext()

def main(arguments, worker=None):
    parser = argparse.ArgumentParser()
    add_server_settings(parser, listen="127.0.0.1:0")
    settings = read_server_settings(parser, parser.parse_args(arguments))
    if settings.workers > 1:
        return supervise(settings, "idle", arguments)
    return serve(
        settings=settings,
        service_names=[],
        add_services=lambda server: add_RankingServiceServicer_to_server(Slow(), server),
        loader=Loading(),
        worker=worker,
    )

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
"""


class Parent:
    """The parent of running workers: its output, and calls to its workers."""

    def __init__(self, popen: subprocess.Popen[str], stderr: Path) -> None:
        self.popen, self._stderr = popen, stderr
        self.stdout: IO[str] = popen.stdout  # type: ignore[assignment]
        self.target = self.stdout.readline().strip().removeprefix("listening on ")

    def expect(self, line: str) -> None:
        assert self.stdout.readline().strip() == line

    def worker(self) -> int:
        """The process id of the worker that answers on a new connection."""
        with grpc.insecure_channel(self.target, options=[OWN_CONNECTION]) as channel:
            return int(RankingServiceStub(channel).Recommend(pb.RecommendRequest(), timeout=_SECONDS).bundle_id)

    def health(self) -> int:
        """A worker's health, on a new connection."""
        with grpc.insecure_channel(self.target, options=[OWN_CONNECTION]) as channel:
            check = HealthStub(channel).Check  # type: ignore[attr-defined]  # its stubs leave the methods out
            status: int = check(HealthCheckRequest(), timeout=_SECONDS, wait_for_ready=True).status
            return status

    def workers(self) -> set[int]:
        return {self.worker() for _ in range(24)}

    def wait_for_log(self, text: str, times: int = 1) -> None:
        end = time.monotonic() + _SECONDS
        while self.log().count(text) < times:
            assert time.monotonic() < end, self.log()
            time.sleep(0.01)

    def rest(self) -> str:
        """The output up to the end of the parent and all workers, which share the stdout."""
        assert select.select([self.stdout], [], [], _SECONDS)[0]
        return self.stdout.read()

    def stop(self) -> int:
        self.popen.terminate()
        return self.popen.wait(_SECONDS)

    def log(self) -> str:
        return self._stderr.read_text()


Run = Callable[..., Parent]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Starts parents, and kills those that a failed test leaves behind; their workers end by themselves."""
    (tmp_path / "idle").mkdir()
    (tmp_path / "idle" / "__main__.py").write_text(PACKAGE)
    parents = list[Parent]()

    def run(*, listen: str = "127.0.0.1:0", workers: int = 2, threads: int = 16, silent: float = 10.0) -> Parent:
        stderr = tmp_path / f"stderr-{len(parents)}"
        command = [
            sys.executable,
            "-m",
            "idle",
            "--listen",
            listen,
            "--workers",
            str(workers),
            "--threads",
            str(threads),
        ]
        variables = {**os.environ, "SILENT_SECONDS": str(silent)}
        with stderr.open("w") as file:
            popen = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=file, text=True, cwd=tmp_path, env=variables
            )
        parents.append(Parent(popen, stderr))
        return parents[-1]

    yield run
    for parent in parents:
        parent.popen.kill()
        parent.popen.wait()
        parent.stdout.close()


def test_the_parent_prints_listening_once_and_serving_once(run: Run) -> None:
    """The output is the same two lines as of one process, and all workers answer."""
    parent = run()
    parent.expect("serving")
    workers = parent.workers()
    assert len(workers) == 2
    assert parent.popen.pid not in workers
    assert parent.stop() == 0
    assert parent.rest() == ""


def test_nothing_serves_before_the_last_worker_does(run: Run, tmp_path: Path) -> None:
    """A loading worker delays the line, and a signal still ends everything."""
    (tmp_path / "slow").touch()
    parent = run()
    parent.expect("loading")
    end = time.monotonic() + _SECONDS
    while parent.health() != HealthCheckResponse.SERVING:
        assert time.monotonic() < end
    assert parent.stop() == 0
    assert parent.rest() == ""


def test_a_client_uses_all_workers(run: Run) -> None:
    """Our client opens several connections, since one connection always leads to the same worker."""
    parent = run()
    parent.expect("serving")
    seen = set[int]()
    for _ in range(3):
        with Recommender(parent.target, timeout=_SECONDS) as client:
            seen |= {int(client.recommend(limit=0).bundle_id) for _ in range(CONNECTIONS)}
    assert len(seen) == 2


def test_calls_in_flight_finish_after_a_signal(run: Run) -> None:
    """The parent passes SIGTERM on and waits for the drain of every worker."""
    parent = run()
    parent.expect("serving")
    with ThreadPoolExecutor() as pool, Recommender(parent.target, timeout=_SECONDS) as client:
        answers = [pool.submit(client.recommend, limit=10) for _ in range(4)]
        for _ in answers:
            parent.expect("called")
        assert parent.stop() == 0
        assert all(int(answer.result().bundle_id) for answer in answers)
    assert parent.log().count("0 calls cut") == 2


def test_a_second_signal_cuts_the_drain_short(run: Run) -> None:
    """Every signal is passed on: the second one ends calls that would last a minute."""
    parent = run()
    parent.expect("serving")
    with grpc.insecure_channel(parent.target) as channel:
        answer = RankingServiceStub(channel).Recommend.future(pb.RecommendRequest(limit=600), timeout=120)
        parent.expect("called")
        started = time.monotonic()
        parent.popen.send_signal(signal.SIGINT)
        parent.wait_for_log("SIGTERM: accepting new calls", times=2)
        assert parent.stop() == 0
        assert time.monotonic() - started < 4.5
        assert isinstance(answer.exception(), grpc.RpcError)
    assert "1 calls cut" in parent.log()


def test_an_unusable_bundle_ends_the_parent_with_3(run: Run, tmp_path: Path) -> None:
    """At the start a bad bundle has the same exit code as with one process, and causes no endless restarts."""
    (tmp_path / "broken").touch()
    parent = run()
    assert parent.popen.wait(_SECONDS) == 3
    assert "index.faiss: is missing" in parent.log()
    assert "another starts" not in parent.log()
    assert "Traceback" not in parent.log()


def test_a_dead_worker_is_replaced_after_growing_pauses(run: Run, tmp_path: Path) -> None:
    """The others serve on, even a bad bundle does not end them later, and the service recovers by itself."""
    parent = run()
    parent.expect("serving")
    dead, alive = parent.workers()
    (tmp_path / "broken").touch()
    os.kill(dead, signal.SIGKILL)
    parent.wait_for_log("a worker ended with code 137; another starts in 1 s")
    parent.wait_for_log("a worker ended with code 3; another starts in 2 s")
    assert parent.workers() == {alive}
    (tmp_path / "broken").unlink()
    end = time.monotonic() + _SECONDS
    while len(workers := parent.workers()) < 2:
        assert time.monotonic() < end
    assert alive in workers
    assert dead not in workers


def test_a_replaced_worker_gets_no_connection_before_it_serves(run: Run, tmp_path: Path) -> None:
    """A crash costs only the calls in flight: a loading worker does not listen yet."""
    parent = run()
    parent.expect("serving")
    dead, alive = parent.workers()
    (tmp_path / "slow").touch()
    os.kill(dead, signal.SIGKILL)
    parent.expect("loading")
    assert parent.workers() == {alive}


def test_workers_do_not_outlive_a_killed_parent(run: Run) -> None:
    """No forgotten worker keeps answering: their shared stdout ends with the last of them."""
    parent = run()
    parent.expect("serving")
    parent.popen.kill()
    assert parent.rest() == ""


def test_a_worker_leaves_ctrl_c_to_the_parent(run: Run) -> None:
    """A terminal's SIGINT reaches the whole group, but a worker counts one signal and not two."""
    parent = run()
    parent.expect("serving")
    workers = parent.workers()
    for worker in workers:
        os.kill(worker, signal.SIGINT)
    assert parent.workers() == workers
    assert parent.stop() == 0
    assert parent.log().count("calls in flight then have") == 2


@pytest.mark.parametrize("first", [1, 2])
@pytest.mark.parametrize("second", [1, 2])
def test_a_port_of_another_server_is_refused(run: Run, first: int, second: int) -> None:
    """A forgotten server is noticed, with one process or several on either side."""
    forgotten = run(workers=first)
    forgotten.expect("serving")
    other = run(listen=forgotten.target, workers=second)
    assert other.popen.wait(_SECONDS) == 1
    assert f"cannot listen on {forgotten.target}" in other.log()
    assert "Traceback" not in other.log()


@pytest.mark.parametrize("before", [1, 2])
def test_a_server_restarts_at_once_on_its_port(run: Run, before: int) -> None:
    """Closed connections linger for a minute on a port, but do not count as another server."""
    former = run(workers=before)
    former.expect("serving")
    channel = grpc.insecure_channel(former.target)
    RankingServiceStub(channel).Recommend(pb.RecommendRequest(), timeout=_SECONDS)
    # The server closes first, so the connection lingers on its side.
    assert former.stop() == 0
    channel.close()
    again = run(listen=former.target)
    again.expect("serving")
    assert again.target == former.target


def test_a_signal_while_no_worker_runs_ends_the_parent_with_0(run: Run) -> None:
    """The pause before the replacement of dead workers does not delay the end of the service."""
    parent = run()
    parent.expect("serving")
    for worker in parent.workers():
        os.kill(worker, signal.SIGKILL)
    parent.wait_for_log("a worker ended with code 137", times=2)
    assert parent.stop() == 0


def test_a_stopped_worker_is_killed_and_replaced(run: Run) -> None:
    """Proves that its connections do not hang for longer than its silence is borne."""
    parent = run(silent=1.5)
    parent.expect("serving")
    stopped, alive = parent.workers()
    os.kill(stopped, signal.SIGSTOP)
    parent.wait_for_log(f"worker {stopped} was silent for 1.5 s, so it is killed")
    parent.wait_for_log("a worker ended with code 137; another starts in 1 s")
    end = time.monotonic() + _SECONDS
    while len(workers := parent.workers()) < 2:
        assert time.monotonic() < end
    assert alive in workers
    assert parent.stop() == 0


def test_a_worker_whose_calls_hang_is_killed_and_replaced(run: Run) -> None:
    """Proves it when its main thread runs, but every thread of its calls waits for ever, while callers come and go."""
    parent = run(threads=2, silent=1.5)
    parent.expect("serving")
    workers = parent.workers()
    with grpc.insecure_channel(parent.target) as channel:
        recommend = RankingServiceStub(channel).Recommend
        hanging = [recommend.future(pb.RecommendRequest(limit=600), timeout=_SECONDS) for _ in range(2)]
        for _ in hanging:
            parent.expect("called")
        while any(not answer.done() for answer in hanging):
            with contextlib.suppress(grpc.RpcError):
                recommend(pb.RecommendRequest(), timeout=0.1)
    parent.wait_for_log("was silent for 1.5 s, so it is killed")
    end = time.monotonic() + _SECONDS
    while len(now := parent.workers()) < 2:
        assert time.monotonic() < end
    assert len(now & workers) == 1
    assert parent.log().count("was silent") == 1


@pytest.mark.parametrize(
    ("calls", "request_", "threads"),
    [
        pytest.param(6, pb.RecommendRequest(limit=5), 1, id="a queue of slow calls"),
        pytest.param(2, pb.RecommendRequest(limit=30, keep_seen=True), 2, id="all threads compute"),
        pytest.param(1, pb.RecommendRequest(limit=30), 2, id="one call waits"),
    ],
)
def test_a_busy_worker_is_not_killed(run: Run, calls: int, request_: pb.RecommendRequest, threads: int) -> None:
    """Proves that no caller can end a worker by calls that take longer than silence is borne."""
    parent = run(threads=threads, silent=1.5)
    parent.expect("serving")
    with grpc.insecure_channel(parent.target) as channel:
        recommend = RankingServiceStub(channel).Recommend
        answers = [recommend.future(request_, timeout=_SECONDS) for _ in range(calls)]
        assert len({answer.result().bundle_id for answer in answers}) == 1
    assert "was silent" not in parent.log()


def test_a_worker_that_loads_is_not_silent(run: Run, tmp_path: Path) -> None:
    """Proves that a first load may take as long as it needs, and that an idle worker that serves is heard."""
    (tmp_path / "slow").touch()
    parent = run(silent=1.5)
    parent.expect("loading")
    time.sleep(2.5)
    assert "was silent" not in parent.log()
    assert parent.stop() == 0


def test_a_parent_that_was_stopped_kills_nobody(run: Run) -> None:
    """Proves that workers stopped with it are given time to be heard again."""
    parent = run(silent=2.0)
    parent.expect("serving")
    workers = parent.workers()
    for pid in (parent.popen.pid, *workers):
        os.kill(pid, signal.SIGSTOP)
    time.sleep(2.5)
    for pid in (parent.popen.pid, *workers):
        os.kill(pid, signal.SIGCONT)
    time.sleep(1)
    assert parent.workers() == workers
    assert "was silent" not in parent.log()


def test_a_signal_ends_a_parent_whose_worker_is_stopped(run: Run) -> None:
    """Proves that the parent waits no longer for it than its silence is borne, and that the exit code is 0."""
    parent = run(silent=1.5)
    parent.expect("serving")
    stopped, _ = parent.workers()
    os.kill(stopped, signal.SIGSTOP)
    assert parent.stop() == 0
    assert parent.rest() == ""
