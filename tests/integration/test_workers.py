"""A real service in several processes on one port; tests/shortlist/serving/test_workers.py has their life and end."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from shortlist.retrieval.v1 import retrieval_service_pb2 as pb
from shortlist.retrieval.v1.retrieval_service_pb2_grpc import RetrievalServiceStub
from testbed.services import Service, worker_pids
from tests.integration.conftest import Trained

pytestmark = pytest.mark.integration
_CONNECTIONS = 24
_SECONDS = 30.0


@pytest.fixture(scope="module")
def service(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A retrieval service of two workers."""
    arguments = ["--bundles", str(trained.bundles), "--workers", "2"]
    with Service.start("retrieval_service", arguments, tmp_path_factory.mktemp("workers") / "log") as service:
        yield service


def _workers(service: Service) -> list[int]:
    return worker_pids(service.process.pid)


def _connections(pid: int) -> int:
    """How many of a process's sockets are established connections to its port."""
    sockets = {os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir() if path.exists() or path.is_symlink()}
    tables = [Path(f"/proc/net/{name}").read_text().splitlines()[1:] for name in ("tcp", "tcp6")]
    lines = [line.split() for table in tables for line in table]
    established = {f"socket:[{fields[9]}]" for fields in lines if fields[3] == "01"}
    return len(sockets & established)


def _call(address: str) -> str:
    # A pool of its own, or all channels of this process share one connection.
    with grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        return _bundle_of(channel)


def _bundle_of(channel: grpc.Channel) -> str:
    response = RetrievalServiceStub(channel).GetBundle(pb.GetBundleRequest(), timeout=_SECONDS, wait_for_ready=True)
    return response.bundle.bundle_id


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + _SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_connections_are_spread_over_the_workers(service: Service, trained: Trained) -> None:
    """Both processes listen on the one port, each takes its part, and all give the same answer."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.insecure_channel(service.address, options=options) for _ in range(_CONNECTIONS)]
    assert {_bundle_of(channel) for channel in channels} == {trained.bundle.name}
    shares = [_connections(worker) for worker in _workers(service)]
    assert len(shares) == 2
    assert min(shares) >= 3
    for channel in channels:
        channel.close()


def test_workers_share_the_pages_of_the_bundle(service: Service, trained: Trained) -> None:
    """Index and tables are mapped: one copy in memory, however many workers."""
    expected = {"index.faiss", "item_vectors.npy", "item_features.npy", "slim_rows.npy", "history_rows.npy"}
    for worker in _workers(service):
        mapped = Path(f"/proc/{worker}/maps").read_text()
        assert {name for name in expected if f"{trained.bundle}/{name}" in mapped} == expected


def test_the_parent_loads_neither_models_nor_what_runs_them(service: Service) -> None:
    """It only supervises, and should cost little beside the workers."""
    mapped = Path(f"/proc/{service.process.pid}/maps").read_text()
    assert [name for name in ("faiss", "onnxruntime", "numpy") if name in mapped] == []


def test_a_worker_that_dies_is_replaced(service: Service, trained: Trained) -> None:
    """The others answer in the meantime, and the log says what happened."""
    first, second = _workers(service)
    os.kill(first, signal.SIGKILL)
    assert _call(service.address) == trained.bundle.name
    _until(lambda: len(_workers(service)) == 2 and first not in _workers(service))
    assert second in _workers(service)
    assert "a worker ended with code 137; another starts in 1 s" in service.log_path.read_text()
