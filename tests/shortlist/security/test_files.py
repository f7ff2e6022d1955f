"""Watched files."""

import threading
import time
from pathlib import Path

import pytest

from shortlist.security import files
from shortlist.security.files import WatchedFiles


def _number(path: Path) -> WatchedFiles[int]:
    return WatchedFiles([path], lambda: int(path.read_text()))


def test_files_are_checked_at_intervals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change shows after the next check, not before it."""
    monkeypatch.setattr(files, "_CHECK_SECONDS", 0.3)
    path = tmp_path / "file"
    path.write_text("1")
    watched = _number(path)
    path.write_text("22")
    assert watched.value() == 1
    time.sleep(0.31)
    assert watched.value() == 22


def test_a_missing_file_keeps_its_last_contents(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The loss is logged once, and the file counts again when it is back."""
    path = tmp_path / "file"
    path.write_text("1")
    watched = _number(path)
    path.unlink()
    for _ in range(3):
        time.sleep(0.02)
        assert watched.value() == 1
    assert [record.name for record in caplog.records].count(files.__name__) == 1
    path.write_text("2")
    time.sleep(0.02)
    assert watched.value() == 2


def test_an_unusable_file_at_the_start_is_an_error(tmp_path: Path) -> None:
    """There are no former contents to keep."""
    path = tmp_path / "file"
    with pytest.raises(FileNotFoundError):
        _number(path)
    path.write_text("one")
    with pytest.raises(ValueError, match="one"):
        _number(path)


def test_files_that_change_during_the_read_are_read_again(tmp_path: Path) -> None:
    """Files that belong together never mix two generations."""
    first, second = tmp_path / "first", tmp_path / "second"
    for path in (first, second):
        path.write_text("1")
    late = False

    def read() -> tuple[str, str]:
        nonlocal late
        text = first.read_text()
        if late:
            late = False
            for path in (first, second):
                path.write_text("333")
        return text, second.read_text()

    watched = WatchedFiles([first, second], read)
    first.write_text("22")
    second.write_text("22")
    late = True
    time.sleep(0.02)
    assert watched.value() == ("1", "1")
    time.sleep(0.02)
    assert watched.value() == ("333", "333")


def test_nobody_waits_for_a_slow_read(tmp_path: Path) -> None:
    """One call reads; the others continue with the former value."""
    path = tmp_path / "file"
    path.write_text("1")
    reading, finish = threading.Event(), threading.Event()
    finish.set()

    def read() -> str:
        reading.set()
        assert finish.wait(10)
        return path.read_text()

    watched = WatchedFiles([path], read)
    finish.clear()
    reading.clear()
    path.write_text("22")
    time.sleep(0.02)
    thread = threading.Thread(target=watched.value)
    thread.start()
    assert reading.wait(10)
    time.sleep(0.02)
    assert watched.value() == "1"
    finish.set()
    thread.join()
    assert watched.value() == "22"
