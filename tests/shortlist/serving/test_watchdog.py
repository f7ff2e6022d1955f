"""Threads that serve, and those that serve no more."""

import threading
import time
from collections.abc import Iterator

import pytest

from shortlist.serving.watchdog import Watchdog


@pytest.fixture
def ends() -> Iterator[threading.Event]:
    """Ends the threads of a test."""
    event = threading.Event()
    yield event
    event.set()


def test_a_thread_that_wakes_up_now_and_then_serves(ends: threading.Event) -> None:
    """Proves that an idle thread of gRPC is well: looks that fall between its wakes count for nothing."""
    watchdog = Watchdog([_started(_waking, ends)], look_seconds=0.01, looks=20)
    assert all(watchdog.is_serving for _ in _until(0.6))


def test_a_thread_that_waits_for_ever_does_not_serve(ends: threading.Event) -> None:
    """Proves that it is found beside one that is well, after so many looks and not before."""
    threads = [_started(_waking, ends), _started(lambda event: event.wait(), ends)]
    watchdog = Watchdog(threads, look_seconds=0.01, looks=20)
    seen = [watchdog.is_serving for _ in _until(0.6)]
    assert seen[:15] == [True] * 15
    assert not seen[-1]


def test_a_process_that_was_stopped_is_well(ends: threading.Event) -> None:
    """Proves that the time between two looks counts as one look, however long."""
    watchdog = Watchdog([_started(lambda event: event.wait(), ends)], look_seconds=0.01, looks=3)
    assert watchdog.is_serving
    time.sleep(0.3)
    assert watchdog.is_serving


def test_a_thread_that_has_ended_does_not_serve() -> None:
    """Proves that nobody waits for looks then."""
    thread = _started(lambda _: None, threading.Event())
    thread.join()
    assert not Watchdog([thread]).is_serving


def _started(run: object, ends: threading.Event) -> threading.Thread:
    thread = threading.Thread(target=run, args=(ends,), daemon=True)  # type: ignore[arg-type]
    thread.start()
    return thread


def _waking(ends: threading.Event) -> None:
    while not ends.wait(0.05):
        sum(range(1000))


def _until(seconds: float) -> Iterator[None]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield
        time.sleep(0.01)
