"""Bundles that hang or harm a service while it loads them, and signals meanwhile."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from retrieval_service import service as retrieval
from retrieval_service.retriever import Retriever
from shortlist.bundle import Bundle, BundleStore
from shortlist.errors import BundleError
from shortlist.serving import loading
from shortlist.serving.served_bundles import ServedBundles
from shortlist.serving.settings import BundleSettings
from testbed.services import Service
from tests.support.small_bundle import (
    BUNDLE_ID,
    add_new_items,
    encoder_of_events,
    encoder_of_one_user,
    endless_encoder,
    item_encoder,
    publish_small_bundle,
)
from tests.support.waiting import until

pytestmark = pytest.mark.integration
LATER = "20260102T000000-0002"
_SERVICES = ("retrieval_service", "ranking_service")


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """A directory whose current bundle has an encoder that never ends, beside an older good one."""
    publish_small_bundle(tmp_path / "bundles")
    publish_small_bundle(tmp_path / "bundles", LATER, encoder=endless_encoder())
    return tmp_path / "bundles"


def _with_new_items(root: Path, encoder: bytes) -> Path:
    directory = publish_small_bundle(root)
    add_new_items(directory, encoder)
    return directory


@contextlib.contextmanager
def _started(command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """A process in a group of its own; leaving the block kills what is left of it."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, process_group=0) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def test_a_bundle_that_never_answers_is_given_up(endless: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves that its run is stopped, so that no thread stays, and that a service starts with the bundle before it."""
    monkeypatch.setattr(loading, "WARM_UP_SECONDS", 0.5)
    served = ServedBundles(BundleStore(endless), lambda directory: retrieval.load(Bundle.open(directory)))
    served.load()
    assert served.get().bundle.bundle_id == BUNDLE_ID
    assert served.failure is not None
    assert "did not answer a first query within 0.5 s" in served.failure.reason
    assert served.failure.retry_at is None
    assert not [thread for thread in threading.enumerate() if thread.name == "warm-up"]


@pytest.mark.parametrize("module", _SERVICES)
def test_a_signal_is_heard_while_a_bundle_never_loads(endless: Path, tmp_path: Path, module: str) -> None:
    """Proves it for a start in native code without end: the process ends with 0, and soon."""
    command = [sys.executable, "-m", module, "--listen", "127.0.0.1:0", "--bundles", str(endless)]
    with _started(command) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("listening on")
        # The time until the encoder runs, more or less; any moment will do.
        time.sleep(0.5)
        process.terminate()
        assert process.wait(10) == 0


@pytest.mark.parametrize("module", _SERVICES)
def test_a_signal_during_a_swap_ends_the_process_with_0(endless: Path, tmp_path: Path, module: str) -> None:
    """Proves it for a service that serves one bundle while another one never loads."""
    BundleStore(endless).point_to(BUNDLE_ID)
    with Service.start(module, ["--bundles", str(endless)], tmp_path / "log") as service:
        threads = _threads(service)
        BundleStore(endless).point_to(LATER)
        until(lambda: _threads(service) > threads)
        assert service.stop() == 0


def _threads(service: Service) -> int:
    return len(os.listdir(f"/proc/{service.process.pid}/task"))


def test_signals_at_any_moment_of_a_start_end_the_process_with_0(tmp_path: Path) -> None:
    """Proves that no moment of the imports, the load and the swap ends in a crash; the moments are drawn by chance."""
    publish_small_bundle(tmp_path / "bundles")
    chance = random.Random(3)  # noqa: S311 - moments, not secrets
    for module in _SERVICES * 3:
        command = [sys.executable, "-m", module, "--listen", "127.0.0.1:0", "--bundles", str(tmp_path / "bundles")]
        with _started(command) as process:
            assert process.stdout is not None
            # From here on the handlers are there.
            process.stdout.readline()
            time.sleep(chance.uniform(0, 0.2))
            process.terminate()
            _, log = process.communicate(timeout=10)
        assert process.returncode == 0, log


@pytest.mark.parametrize(
    ("make", "module", "reason"),
    [
        (lambda root: publish_small_bundle(root), "retrieval_service", ""),
        (lambda root: publish_small_bundle(root), "ranking_service", ""),
        (lambda root: publish_small_bundle(root, encoder=encoder_of_one_user()), "retrieval_service", "user_encoder"),
        (lambda root: publish_small_bundle(root, encoder=encoder_of_events(1)), "retrieval_service", "first query"),
        (lambda root: publish_small_bundle(root, encoder=b"nonsense"), "ranking_service", "user_encoder.onnx"),
        (lambda root: publish_small_bundle(root, objectives=3), "ranking_service", "ranker.onnx"),
        (lambda root: publish_small_bundle(root, objectives=1), "ranking_service", "ranker.onnx"),
        (lambda root: _with_new_items(root, item_encoder()), "retrieval_service", ""),
        (lambda root: _with_new_items(root, item_encoder(width=3)), "ranking_service", "item_encoder.onnx"),
    ],
)
def test_a_service_checks_a_bundle_without_a_port(
    tmp_path: Path, make: Callable[[Path], Path], module: str, reason: str
) -> None:
    """Proves that ``--check`` ends with 0 or 3, and prints one line; first queries go to the models of two users."""
    directory = make(tmp_path)
    command = [sys.executable, "-m", module, "--check", directory.name, "--bundles", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == (3 if reason else 0), done.stderr
    assert reason in done.stdout
    assert done.stdout.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_a_check_of_a_missing_bundle_is_a_refusal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Proves that an id that does not exist ends with 3 too, and is named."""
    assert retrieval.check_retrieval(BundleSettings(directory=tmp_path), LATER) == 3
    assert capsys.readouterr().out == f"{LATER}: is no bundle of {tmp_path}\n"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_hangup_drains_a_service(tmp_path: Path, workers: str) -> None:
    """Proves that SIGHUP to the whole process group, as a terminal sends it that closes, ends it with 0."""
    publish_small_bundle(tmp_path / "bundles")
    command = [sys.executable, "-m", "ranking_service", "--listen", "127.0.0.1:0", "--workers", workers]
    command += ["--bundles", str(tmp_path / "bundles"), "--drain-seconds", "3"]
    with _started(command) as group:
        assert group.stdout is not None
        while "serving" not in group.stdout.readline():
            assert group.poll() is None
        os.killpg(group.pid, signal.SIGHUP)
        _, log = group.communicate(timeout=20)
    assert group.returncode == 0, log
    assert "SIGHUP: " in log
    assert log.count("0 calls cut") == int(workers)


def test_a_hangup_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    """Proves that ``nohup`` works: the service goes on."""
    publish_small_bundle(tmp_path / "bundles")
    former = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        service = Service.start("ranking_service", ["--bundles", str(tmp_path / "bundles")], tmp_path / "log")
    finally:
        signal.signal(signal.SIGHUP, former)
    with service:
        service.process.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        assert service.process.poll() is None
        assert service.stop() == 0


def test_a_load_that_raises_anything_is_a_fault_of_its_bundle(endless: Path) -> None:
    """Proves that a MemoryError or a RecursionError at a start leaves the service with the bundle before."""

    def load(directory: Path) -> Retriever:
        if directory.name == LATER:
            raise MemoryError
        return retrieval.load(Bundle.open(directory))

    served = ServedBundles(BundleStore(endless), load)
    served.load()
    assert served.get().bundle.bundle_id == BUNDLE_ID
    with pytest.raises(BundleError, match="RecursionError"):
        loading.warmed_up(served.get().bundle, _recurse)


def _recurse() -> None:
    raise RecursionError("too deep")
