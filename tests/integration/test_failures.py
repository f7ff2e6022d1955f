"""Faults of running services: a refused bundle, a retrieval service that is gone, a signal."""

import shutil
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from shortlist import Recommendations, Recommender
from shortlist.ranking.v1.ranking_service_pb2 import RecommendRequest
from shortlist.ranking.v1.ranking_service_pb2_grpc import RankingServiceStub
from shortlist.retrieval.v1 import retrieval_service_pb2 as pb
from shortlist.retrieval.v1.retrieval_service_pb2_grpc import (
    RetrievalServiceServicer,
    add_RetrievalServiceServicer_to_server,
)
from testbed.services import Service, ServiceFailed
from tests.support.waiting import until

pytestmark = pytest.mark.integration


@pytest.fixture
def copied(bundle: Path, tmp_path: Path) -> Path:
    """A bundle of one's own to damage; its parent is the directory of bundles."""
    bundles = tmp_path / "bundles"
    shutil.copytree(bundle, bundles / bundle.name)
    (bundles / "CURRENT").write_text(bundle.name + "\n")
    return bundles / bundle.name


def _remove(bundle: Path) -> None:
    (bundle / "ranker.onnx").unlink()


def _flip_a_bit(bundle: Path) -> None:
    path = bundle / "item_vectors.npy"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _no_pointer(bundle: Path) -> None:
    (bundle.parent / "CURRENT").unlink()


@pytest.mark.parametrize(
    ("module", "damage", "file", "reason"),
    [
        ("retrieval_service", _flip_a_bit, "item_vectors.npy", "sha256 differs"),
        ("ranking_service", _remove, "ranker.onnx", "is missing"),
        ("ranking_service", _no_pointer, "CURRENT", "cannot be read"),
    ],
)
def test_a_damaged_bundle_is_refused_with_the_file_and_the_reason(
    copied: Path, tmp_path: Path, module: str, damage: Callable[[Path], None], file: str, reason: str
) -> None:
    """Exit code 3 at start, and a log line that says what to look at; FAISS and ONNX Runtime notice none of this."""
    damage(copied)
    with pytest.raises(ServiceFailed) as caught:
        Service.start(module, ["--bundles", str(copied.parent)], tmp_path / "log")
    assert caught.value.exit_code == 3
    assert file in caught.value.log
    assert reason in caught.value.log


@pytest.mark.alone
def test_without_retrieval_the_answer_is_popular_items_marked_as_degraded(bundle: Path, tmp_path: Path) -> None:
    """Nothing listens at the target: ranking answers from its own bundle, at once."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        answer, seconds = _ask_ranking(bundle, f"dns:///{address}", tmp_path)
    assert answer.degraded is not None
    assert "unavailable" in answer.degraded.lower()
    assert {item.source for item in answer.items} == {"fallback"}
    assert seconds < 1.0


@pytest.mark.alone
def test_a_retrieval_that_never_answers_costs_no_more_than_the_deadline(bundle: Path, tmp_path: Path) -> None:
    """The target accepts connections and is silent: the popular items still come before the caller gives up."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        answer, seconds = _ask_ranking(bundle, f"dns:///127.0.0.1:{silent.getsockname()[1]}", tmp_path)
    assert answer.degraded is not None
    assert {item.source for item in answer.items} == {"fallback"}
    assert seconds < 1.0


@pytest.mark.alone
def test_a_retrieval_that_is_gone_stops_costing_each_call_its_time(bundle: Path, tmp_path: Path) -> None:
    """After some calls that waited in vain the others do not wait, until one that tries is answered again."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        arguments = ["--bundles", str(bundle.parent), "--retrieval", f"dns:///{address}"]
        with (
            Service.start("ranking_service", arguments, tmp_path / "ranking.log") as ranking,
            Recommender(f"dns:///{ranking.address}", timeout=1.0) as client,
        ):
            seconds = [_seconds(lambda: client.recommend(user_id="u5")) for _ in range(12)]
            assert sum(second > 0.5 for second in seconds) < 8
            assert min(seconds) < 0.2
            silent.close()
            with Service.start("retrieval_service", [*arguments[:2], "--listen", address], tmp_path / "retrieval.log"):
                until(lambda: client.recommend(user_id="u5").degraded is None)
    assert "failed 5 times in a row" in ranking.log_path.read_text()


@pytest.mark.alone
def test_the_deadline_shrinks_on_its_way(bundle: Path, tmp_path: Path) -> None:
    """All tries of retrieval get less than the caller gave, so that there is time to rank; without a deadline too."""
    tries: list[tuple[float, float]] = []
    hangs = threading.Event()

    class Noting(RetrievalServiceServicer):
        def RetrieveRows(  # noqa: N802
            self, request: pb.RetrieveRowsRequest, context: grpc.ServicerContext
        ) -> pb.RetrieveRowsResponse:
            began = time.monotonic()
            tries.append((began, began + context.time_remaining()))
            while hangs.is_set() and context.is_active():
                time.sleep(0.01)
            context.abort(grpc.StatusCode.INTERNAL, "not today")

    server = grpc.server(ThreadPoolExecutor(8))
    add_RetrievalServiceServicer_to_server(Noting(), server)  # type: ignore[abstract]
    target = f"dns:///127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    arguments = ["--bundles", str(bundle.parent), "--retrieval", target]
    with (
        Service.start("ranking_service", arguments, tmp_path / "ranking.log") as ranking,
        grpc.insecure_channel(ranking.address) as channel,
    ):
        stub, request = RankingServiceStub(channel), RecommendRequest(limit=3)
        request.user.user_id = "u5"
        hangs.set()
        left = []
        for seconds in (4.0, 0.4, None):
            tries.clear()
            stub.Recommend(request, timeout=seconds)
            left.append(max(end for _, end in tries) - min(began for began, _ in tries))
    server.stop(None)
    assert left == [pytest.approx(1.0, abs=0.2), pytest.approx(0.3, abs=0.1), pytest.approx(0.75, abs=0.2)]


def _seconds(call: Callable[[], object]) -> float:
    started = time.monotonic()
    call()
    return time.monotonic() - started


def test_a_service_that_is_told_to_stop_exits_with_0(bundle: Path, tmp_path: Path) -> None:
    """SIGTERM is how Kubernetes stops a pod; it is not a failure."""
    for module in ("retrieval_service", "ranking_service"):
        with Service.start(module, ["--bundles", str(bundle.parent)], tmp_path / "log") as service:
            assert service.stop() == 0


def _ask_ranking(bundle: Path, retrieval: str, logs: Path) -> tuple[Recommendations, float]:
    arguments = ["--bundles", str(bundle.parent), "--retrieval", retrieval]
    with (
        Service.start("ranking_service", arguments, logs / "ranking.log") as ranking,
        Recommender(f"dns:///{ranking.address}", timeout=1.0) as client,
    ):
        # The client's own connection is not what is measured.
        client.recommend(limit=1, timeout=10)
        started = time.monotonic()
        answer = client.recommend(user_id="u5", limit=5)
        return answer, time.monotonic() - started
