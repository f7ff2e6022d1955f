"""Pools at the system's limit on threads."""

import threading

import pytest

from shortlist.serving.pools import StartedPool


def test_a_started_pool_needs_no_further_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves that all of its threads work, after the system gives none any more."""
    pool, meeting = StartedPool(3, "test"), threading.Barrier(3)
    _allow_threads(monkeypatch, 0)
    assert sorted(pool.map(lambda _: meeting.wait(5), range(3))) == [0, 1, 2]
    assert list(pool.map(abs, range(100))) == list(range(100))
    pool.shutdown()


def test_a_pool_that_cannot_start_says_so_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves that a server learns it before its first call, and that the threads it got do not wait for ever."""
    before = set(threading.enumerate())
    _allow_threads(monkeypatch, 2)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        StartedPool(3, "test")
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
        assert not thread.is_alive()


def _allow_threads(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Lets only so many more threads start, like the system at its limit."""
    start, left = threading.Thread.start, [None] * count

    def limited(thread: threading.Thread) -> None:
        if not left:
            raise RuntimeError("can't start new thread")
        left.pop()
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
