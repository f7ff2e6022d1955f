"""Versions and the pointer."""

import subprocess
import sys
from pathlib import Path

import pytest

from shortlist.bundle.store import BundleStore, new_bundle_id
from shortlist.errors import BundleError

FIRST, SECOND = "20260101T000000-0001", "20260101T000000-0002"


def _publish(root: Path, bundle_id: str) -> None:
    with BundleStore(root).publishing(bundle_id) as directory:
        (directory / "file").write_text(bundle_id)


def test_a_published_version_becomes_the_current_one(tmp_path: Path) -> None:
    """The pointer moves to the newest, and the former one stays."""
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
    assert sorted(path.name for path in tmp_path.iterdir()) == [FIRST, "CURRENT"]


def test_a_writer_killed_at_any_step_leaves_the_former_version_current(tmp_path: Path) -> None:
    """The process is ended for good after each of its file system calls in turn."""
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
        (tmp_path / SECOND / "file").unlink(missing_ok=True)
        if (tmp_path / SECOND).is_dir() and current.name == FIRST:
            (tmp_path / SECOND).rmdir()
    assert current.name == SECOND
    assert steps >= 5


@pytest.mark.parametrize("text", ["", "../elsewhere", "20260101T000000-0009", "/etc"])
def test_a_pointer_that_names_no_bundle_of_the_directory_is_refused(tmp_path: Path, text: str) -> None:
    """The pointer is input too, and may not lead out of the directory."""
    (tmp_path / "CURRENT").write_text(text)
    with pytest.raises(BundleError, match="CURRENT"):
        BundleStore(tmp_path).current()


def test_new_versions_have_different_names() -> None:
    """Two runs in one second do not collide, save by one chance in 65,536."""
    assert len({new_bundle_id() for _ in range(20)}) >= 19
