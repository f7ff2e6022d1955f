"""The directory of bundles: versions, the pointer and the pin."""

import logging
import mmap
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from shortlist.bundle.bundle_id import is_bundle_id, new_bundle_id
from shortlist.bundle.pointer_history import HISTORY
from shortlist.bundle.store import BundleStore
from shortlist.errors import BundleError
from tests.shortlist.bundle.fake import names

FIRST, SECOND = "20260101T000000-0001", "20260101T000000-0002"


def _publish(root: Path, bundle_id: str) -> None:
    with BundleStore(root).publishing(bundle_id) as directory:
        (directory / "file").write_text(bundle_id)


def test_a_published_version_becomes_the_current_one(tmp_path: Path) -> None:
    """The pointer moves to the newest version, and the former one stays in the directory."""
    _publish(tmp_path, FIRST)
    _publish(tmp_path, SECOND)
    assert (BundleStore(tmp_path).current() / "file").read_text() == SECOND
    assert (tmp_path / FIRST / "file").read_text() == FIRST


def test_a_failure_while_writing_changes_nothing(tmp_path: Path) -> None:
    """The former version stays current, and nothing is left behind."""
    _publish(tmp_path, FIRST)
    with pytest.raises(RuntimeError), BundleStore(tmp_path).publishing(SECOND):
        raise RuntimeError
    assert BundleStore(tmp_path).current().name == FIRST
    assert names(tmp_path) == [FIRST, "CURRENT"]


def test_a_writer_killed_at_any_step_leaves_the_former_version_current(tmp_path: Path) -> None:
    """The process is killed after each of its file system calls in turn."""
    _publish(tmp_path, FIRST)
    script = Path(__file__).with_name("killed_writer.py")
    steps = 0
    while True:
        done = subprocess.run([sys.executable, str(script), str(tmp_path), SECOND, str(steps)], check=False)
        current = BundleStore(tmp_path).current()
        assert (current / "file").read_text() == current.name
        if done.returncode == 0:
            break
        assert done.returncode == 9
        steps += 1
        BundleStore(tmp_path).point_to(FIRST)
        shutil.rmtree(tmp_path / SECOND, ignore_errors=True)
    assert current.name == SECOND
    assert steps >= 15
    assert names(tmp_path) == [FIRST, SECOND, "CURRENT"]


@pytest.mark.parametrize("text", ["", "../elsewhere", "20260101T000000-0009", "/etc", "\uff12026\uff10101T000000-0001"])
def test_a_pointer_that_names_no_bundle_of_the_directory_is_refused(tmp_path: Path, text: str) -> None:
    """The pointer is input, and may not lead out of the directory."""
    (tmp_path / "CURRENT").write_text(text)
    with pytest.raises(BundleError, match="CURRENT"):
        BundleStore(tmp_path).current()


def test_the_current_id_comes_from_the_pointer_alone(tmp_path: Path) -> None:
    """A service reads it every half second, and looks for the bundle only when it has changed."""
    (tmp_path / "CURRENT").write_text(f"{FIRST}\n")
    assert BundleStore(tmp_path).current_id() == FIRST


def test_only_versions_are_listed_newest_first(tmp_path: Path) -> None:
    """The list leaves out unfinished versions, files and foreign directories."""
    store = BundleStore(tmp_path)
    assert BundleStore(tmp_path / "nowhere").ids() == []
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "20260101T000000-0003").write_text("a file")
    _publish(tmp_path, SECOND)
    _publish(tmp_path, FIRST)
    with store.publishing("20260101T000000-0004"):
        assert store.ids() == [SECOND, FIRST]


def test_a_pin_keeps_published_versions_waiting(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The new version is there, the pointer stays, and the log says so. After the pin the next version is served."""
    store = BundleStore(tmp_path)
    _publish(tmp_path, FIRST)
    store.pin(FIRST)
    with caplog.at_level(logging.WARNING):
        _publish(tmp_path, SECOND)
    assert (store.current_id(), store.ids()) == (FIRST, [SECOND, FIRST])
    assert f"{SECOND} will not be served: {FIRST} is pinned" in caplog.text
    assert (store.unpin(), store.unpin()) == (FIRST, None)
    assert store.current_id() == FIRST
    _publish(tmp_path, "20260101T000000-0003")
    assert store.current_id() == "20260101T000000-0003"


def test_a_current_or_pinned_version_is_not_removed(tmp_path: Path) -> None:
    """The store itself refuses, for every caller."""
    store = BundleStore(tmp_path)
    _publish(tmp_path, FIRST)
    _publish(tmp_path, SECOND)
    store.pin(FIRST)
    store.point_to(SECOND)
    for bundle_id in (FIRST, SECOND):
        with pytest.raises(BundleError, match="current or pinned"):
            store.remove(bundle_id)
    store.unpin()
    store.remove(FIRST)
    assert names(tmp_path) == [SECOND, "CURRENT"]


def test_a_mapped_version_survives_its_removal(tmp_path: Path) -> None:
    """A service answers from the former version until it has loaded the new one."""
    _publish(tmp_path, FIRST)
    _publish(tmp_path, SECOND)
    with (tmp_path / FIRST / "file").open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        BundleStore(tmp_path).remove(FIRST)
        assert not (tmp_path / FIRST).exists()
        assert mapped[:] == FIRST.encode()


def test_a_writer_leaves_unfinished_versions_of_others_alone(tmp_path: Path) -> None:
    """A lock, not a process number, shows that a writer lives: in containers every writer may be process 1."""
    store = BundleStore(tmp_path)
    with store.publishing(FIRST) as directory:
        (directory / "file").write_text(FIRST)
        _publish(tmp_path, SECOND)
        assert store.abandoned() == []
        assert (directory / "file").exists()
    assert store.current_id() == FIRST


def test_many_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    """Eight writers publish while one removes leftovers over and over: every version is whole, without debris."""
    ids = [f"20260101T000000-{number:04x}" for number in range(8)]
    errors: list[BaseException] = []

    def publish(bundle_id: str) -> None:
        try:
            _publish(tmp_path, bundle_id)
        except BaseException as error:
            errors.append(error)

    writers = [threading.Thread(target=publish, args=(bundle_id,)) for bundle_id in ids]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        if tmp_path.exists():
            BundleStore(tmp_path).remove_abandoned()
    assert errors == []
    assert names(tmp_path) == [*ids, "CURRENT"]
    assert all((tmp_path / bundle_id / "file").read_text() == bundle_id for bundle_id in ids)


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _gigabytes(path: Path) -> None:
    with path.open("wb") as file:
        file.write(FIRST.encode())
        file.truncate(2**33)


def _link(path: Path) -> None:
    path.with_name("elsewhere").write_text(FIRST)
    path.symlink_to(path.with_name("elsewhere"))


@pytest.mark.parametrize("name", ["CURRENT", "PINNED"])
@pytest.mark.parametrize("make", [_pipe, Path.mkdir, _gigabytes, _link])
def test_a_pointer_that_is_no_small_file_is_an_error(tmp_path: Path, name: str, make: Callable[[Path], None]) -> None:
    """Proves that no pointer hangs its reader, fills its memory or leads elsewhere."""
    _publish(tmp_path, FIRST)
    (tmp_path / name).unlink(missing_ok=True)
    make(tmp_path / name)
    store = BundleStore(tmp_path)
    with pytest.raises(BundleError, match=f"{name}: cannot be read"):
        store.current_id() if name == "CURRENT" else store.pinned_id()


def test_a_new_version_comes_after_every_other_one_whatever_the_clock_says() -> None:
    """Proves that a clock that went back makes no new version look older than those before it."""
    late = "20991231T235959-ffff"
    assert late < new_bundle_id(late) < "2101"
    assert "20260101T000000-0001" < new_bundle_id("20260101T000000-0001") < late
    assert is_bundle_id(new_bundle_id("99999999T999999-0000"))


def test_the_version_before_is_the_one_that_was_current_before(tmp_path: Path) -> None:
    """Proves that the order of publication counts, where a clock that went back gave the later one a lower id."""
    _publish(tmp_path, SECOND)
    _publish(tmp_path, FIRST)
    store = BundleStore(tmp_path)
    assert store.older_than(FIRST) == [SECOND]
    store.pin(SECOND)
    assert store.older_than(SECOND) == []


def test_without_the_history_of_the_pointer_versions_are_ordered_by_id(tmp_path: Path) -> None:
    """Proves that a directory of an earlier release, or a lost file, costs nothing but that knowledge."""
    _publish(tmp_path, SECOND)
    _publish(tmp_path, FIRST)
    (tmp_path / HISTORY).unlink()
    assert (BundleStore(tmp_path).older_than(SECOND), BundleStore(tmp_path).older_than(FIRST)) == ([FIRST], [])


def test_new_versions_have_different_names() -> None:
    """Two runs in the same second collide with a chance of 1 in 65,536."""
    assert len({new_bundle_id() for _ in range(20)}) >= 19
