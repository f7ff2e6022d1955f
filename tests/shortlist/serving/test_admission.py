"""The pool of a server's threads, where threads are hard to come by."""

import threading
from collections.abc import Iterator

import pytest

from shortlist.serving.admission import AdmissionPool, begun


@pytest.fixture
def pool() -> Iterator[AdmissionPool]:
    """Four threads, none of them started."""
    with AdmissionPool(threads=4, queue=4) as pool:
        yield pool


@pytest.fixture
def no_more_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """What to ask for so that the system, from then on, starts no thread any more, as at a limit of its own."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)


def call() -> str:
    """What a server runs for each call."""
    begun()
    return threading.current_thread().name


def test_without_a_further_thread_a_call_waits_for_those_there_are(
    pool: AdmissionPool, request: pytest.FixtureRequest
) -> None:
    """Proves that a limit on threads, met at a peak, costs a call some waiting and not the server its life."""
    first, gate = threading.Event(), threading.Event()

    def slow() -> None:
        begun()
        first.set()
        gate.wait()

    busy = pool.submit(slow)
    assert first.wait(5)
    request.getfixturevalue("no_more_threads")
    waiting = pool.submit(call)
    assert not waiting.done()
    gate.set()
    assert waiting.result(5) == "call_0"
    assert busy.result(5) is None
    assert pool.admitted == 0


def test_without_any_thread_the_caller_is_told(pool: AdmissionPool, request: pytest.FixtureRequest) -> None:
    """Proves that nothing waits for what will never come, and that no place stays taken."""
    request.getfixturevalue("no_more_threads")
    with pytest.raises(RuntimeError, match="can't start new thread"):
        pool.submit(call)
    assert pool.admitted == 0
