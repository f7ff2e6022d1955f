"""New bundles while the services run: taken without a ripple, or refused without one."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import faiss
import grpc
import numpy as np
import pytest
from numpy.typing import NDArray

from shortlist import Recommendations, Recommender
from shortlist.bundle.manifest import FileDigest, Manifest
from shortlist.ranking.v1 import ranking_service_pb2 as pb
from shortlist.ranking.v1.ranking_service_pb2_grpc import RankingServiceStub
from shortlist.retrieval.v1.retrieval_service_pb2 import GetBundleRequest
from shortlist.retrieval.v1.retrieval_service_pb2_grpc import RetrievalServiceStub
from testbed.services import Running, start_both
from testbed.versions import add_version, edit_manifest, publish, replace_file
from tests.integration.conftest import Trained
from tests.support.waiting import until

pytestmark = pytest.mark.integration
_USERS = [f"u{user}" for user in range(8)]
_SWAPS = 10


@pytest.fixture(scope="session")
def sources(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two bundles that give different lists: in the second, each item has the vector of the one before it."""
    root = tmp_path_factory.mktemp("other")
    other = root / add_version(root, trained.bundle, 0)
    vectors = np.roll(np.load(trained.bundle / "item_vectors.npy"), 1, axis=0)
    index = faiss.index_factory(vectors.shape[1], Manifest.read(other).index.spec, faiss.METRIC_INNER_PRODUCT)
    index.add(vectors)
    replace_file(other / "index.faiss", faiss.serialize_index(index).tobytes())
    _save_signed(other, "item_vectors.npy", vectors)
    return [trained.bundle, other]


@pytest.fixture
def root(sources: list[Path], tmp_path: Path) -> Path:
    """A directory of bundles whose current one is the first."""
    root = tmp_path / "bundles"
    publish(root, add_version(root, sources[0], 0))
    return root


@pytest.fixture
def running(root: Path, tmp_path: Path) -> Iterator[Running]:
    """Both services over that directory."""
    with start_both(root, tmp_path) as both:
        yield both


def _served(running: Running) -> tuple[str, str]:
    with (
        grpc.insecure_channel(running.retrieval.address) as retrieval,
        grpc.insecure_channel(running.ranking.address) as ranking,
    ):
        return (
            RetrievalServiceStub(retrieval).GetBundle(GetBundleRequest(), timeout=10).bundle.bundle_id,
            RankingServiceStub(ranking).GetBundle(pb.GetBundleRequest(), timeout=10).bundle.bundle_id,
        )


def _list(answer: Recommendations) -> list[tuple[str, float]]:
    return [(item.item_id, round(item.score, 4)) for item in answer.items]


def test_ten_swaps_under_load_lose_no_call_and_mix_no_two_bundles(
    running: Running, root: Path, sources: list[Path]
) -> None:
    """Eight clients see every list exactly as the bundle that it names makes it alone."""
    stop = threading.Event()
    with Recommender(f"dns:///{running.ranking.address}", timeout=10) as recommender:
        first = {user: _list(recommender.recommend(user_id=user)) for user in _USERS}
        with ThreadPoolExecutor(8) as pool:
            answers = [pool.submit(_ask_until, stop, recommender, user) for user in _USERS]
            for number in range(1, _SWAPS + 1):
                bundle_id = add_version(root, sources[number % 2], number)
                started = time.monotonic()
                publish(root, bundle_id)
                until(lambda bundle_id=bundle_id: _served(running) == (bundle_id, bundle_id))  # type: ignore[misc]
                assert time.monotonic() - started < 10
            stop.set()
            by_user = dict(zip(_USERS, [future.result() for future in answers], strict=True))
        # The last one is of the first source again; one more swap gives the other's lists.
        last = add_version(root, sources[1], _SWAPS + 1)
        publish(root, last)
        until(lambda: _served(running) == (last, last))
        second = {user: _list(recommender.recommend(user_id=user)) for user in _USERS}
    assert first != second
    for user, found in by_user.items():
        assert {answer.degraded for answer in found} == {None}
        assert len({answer.bundle_id for answer in found}) > _SWAPS / 2
        for answer in found:
            expected = second if int(answer.bundle_id[9:15]) % 2 else first
            assert _list(answer) == expected[user]


def _ask_until(stop: threading.Event, recommender: Recommender, user: str) -> list[Recommendations]:
    answers = []
    while not stop.is_set():
        answers.append(recommender.recommend(user_id=user))
        # Some hundred calls a second in all meet every step of a swap; more would only slow the tests beside this one.
        time.sleep(0.02)
    return answers


@pytest.mark.alone
def test_swaps_leave_the_memory_as_it_was(running: Running, root: Path, sources: list[Path]) -> None:
    """The memory of a bundle is given back once two newer ones have come."""
    pids = (running.retrieval.process.pid, running.ranking.process.pid)
    resident = []
    for number in range(1, 16):
        bundle_id = add_version(root, sources[number % 2], number)
        publish(root, bundle_id)
        until(lambda bundle_id=bundle_id: _served(running) == (bundle_id, bundle_id))  # type: ignore[misc]
        resident.append([_resident(pid) for pid in pids])
    assert (np.array(resident[-1]) <= 1.05 * np.array(resident[4])).all(), resident


def _resident(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def test_the_bundle_before_the_current_one_can_be_asked_for_and_no_other(
    running: Running, root: Path, sources: list[Path]
) -> None:
    """A caller that retrieves and ranks in two calls gets both from one bundle; an unknown one is refused by name."""
    former = _served(running)[0]
    current = add_version(root, sources[1], 1)
    publish(root, current)
    until(lambda: _served(running) == (current, current))
    with grpc.insecure_channel(running.ranking.address) as channel:
        stub = RankingServiceStub(channel)
        assert stub.GetBundle(pb.GetBundleRequest()).previous_bundle_id == former
        request = pb.RecommendRequest(limit=3, bundle_id=former)
        request.user.user_id = "u1"
        answer = stub.Recommend(request, timeout=10)
        assert (answer.bundle_id, answer.degraded) == (former, False)
        request.bundle_id = "20200101T000000-0000"
        with pytest.raises(grpc.RpcError, match="FAILED_PRECONDITION"):
            stub.Recommend(request, timeout=10)


def test_ranking_that_is_ahead_of_retrieval_answers_from_the_bundle_that_both_have(
    root: Path, sources: list[Path], tmp_path: Path
) -> None:
    """While retrieval has not taken the new bundle, a list comes from the one before, whole; and then from the new."""
    late = tmp_path / "late"
    old = add_version(late, sources[0], 0)
    publish(late, old)
    with start_both(root, tmp_path, retrieval=["--bundles", str(late)]) as running:
        new = add_version(root, sources[1], 1)
        publish(root, new)
        until(lambda: _served(running) == (old, new))
        with Recommender(f"dns:///{running.ranking.address}", timeout=10) as recommender:
            answer = recommender.recommend(user_id="u1")
            assert (answer.bundle_id, answer.degraded) == (old, None)
            publish(late, add_version(late, sources[1], 1))
            until(lambda: _served(running) == (new, new))
            assert recommender.recommend(user_id="u1").bundle_id == new


def _truncate(directory: Path) -> None:
    content = (directory / "index.faiss").read_bytes()
    replace_file(directory / "index.faiss", content[: len(content) // 2])


def _wrong_dimension(directory: Path) -> None:
    vectors = np.load(directory / "item_vectors.npy")
    _save_signed(directory, "item_vectors.npy", np.ascontiguousarray(vectors[:, :-1]))


def _nan_vectors(directory: Path) -> None:
    vectors = np.load(directory / "item_vectors.npy")
    vectors[3, 2] = np.nan
    _save_signed(directory, "item_vectors.npy", vectors)


def _save_signed(directory: Path, name: str, array: NDArray[np.float32]) -> None:
    """Replaces a table by one that the manifest agrees with."""
    np.save(directory / "new.npy", array)
    (directory / "new.npy").replace(directory / name)
    files = Manifest.read(directory).files
    digests = {key: vars(FileDigest.of(directory / key)) for key in files}
    edit_manifest(directory, files=digests)


def _remove(directory: Path) -> None:
    (directory / "ranker.onnx").unlink()


def _swapped_models(directory: Path) -> None:
    """Both models are whole, but each has the other's name: only a first query can tell."""
    encoder, ranker = directory / "user_encoder.onnx", directory / "ranker.onnx"
    contents = encoder.read_bytes(), ranker.read_bytes()
    replace_file(encoder, contents[1])
    replace_file(ranker, contents[0])
    files = Manifest.read(directory).files
    edit_manifest(directory, files={name: vars(FileDigest.of(directory / name)) for name in files})


_BAD = {
    "truncated": (_truncate, "index.faiss: has"),
    "wrong dimension": (_wrong_dimension, "item_vectors.npy: has <f4"),
    "NaN vectors": (_nan_vectors, "item_vectors.npy: has a number that is not finite"),
    "models under each other's name": (_swapped_models, "does not answer a first query"),
}


def test_a_bad_bundle_changes_nothing(running: Running, root: Path, sources: list[Path]) -> None:
    """The old one goes on, and both services say why; then a good one is taken. The bundle tests have more damage."""
    good, _ = _served(running)
    with Recommender(f"dns:///{running.ranking.address}", timeout=10) as recommender:
        for number, (what, (damage, reason)) in enumerate(_BAD.items(), start=1):
            bundle_id = add_version(root, sources[1], number)
            damage(root / bundle_id)
            publish(root, bundle_id)
            until(lambda reason=reason, bundle_id=bundle_id: _refused(running, bundle_id, reason))  # type: ignore[misc]
            assert _served(running) == (good, good), what
            assert recommender.recommend(user_id="u1").degraded is None
    better = add_version(root, sources[1], 999)
    publish(root, better)
    until(lambda: _served(running) == (better, better))


def _refused(running: Running, bundle_id: str, reason: str) -> bool:
    with (
        grpc.insecure_channel(running.retrieval.address) as retrieval,
        grpc.insecure_channel(running.ranking.address) as ranking,
    ):
        failures = [
            RetrievalServiceStub(retrieval).GetBundle(GetBundleRequest(), timeout=10).load_failure,
            RankingServiceStub(ranking).GetBundle(pb.GetBundleRequest(), timeout=10).load_failure,
        ]
    return all(failure.bundle_id == bundle_id for failure in failures) and reason in failures[0].reason


def test_a_bad_bundle_is_tried_three_times_and_then_left_alone(
    running: Running, root: Path, sources: list[Path]
) -> None:
    """The pauses grow, and a service does not spend its time on what will not work."""
    bundle_id = add_version(root, sources[1], 1)
    _remove(root / bundle_id)
    publish(root, bundle_id)
    with grpc.insecure_channel(running.ranking.address) as channel:
        stub = RankingServiceStub(channel)

        def attempts() -> int:
            return stub.GetBundle(pb.GetBundleRequest(), timeout=10).load_failure.attempts

        times = []
        for count in (1, 2, 3):
            until(lambda count=count: attempts() == count)  # type: ignore[misc]
            times.append(time.monotonic())
        assert times[2] - times[1] > times[1] - times[0] > 1
        log = running.ranking.log_path.read_text()
        assert log.count(f"to load bundle {bundle_id} failed") == 3


def test_a_service_that_starts_on_a_bad_bundle_serves_the_newest_good_one(
    root: Path, sources: list[Path], tmp_path: Path
) -> None:
    """A process that is started again does not go down with a bundle that its neighbours have refused."""
    good = add_version(root, sources[1], 1)
    bad = add_version(root, sources[1], 2)
    _truncate(root / bad)
    publish(root, bad)
    with start_both(root, tmp_path) as running:
        assert _served(running) == (good, good)
        assert _refused(running, bad, "index.faiss: has")
