"""The pool of a server's threads when the system refuses further threads."""

import threading
from collections.abc import Iterator

import pytest

from shortlist.serving.admission import AdmissionPool, begun


@pytest.fixture
def pool() -> Iterator[AdmissionPool]:
    """A pool of four threads, none of them started."""
    with AdmissionPool(threads=4, queue=4) as pool:
        yield pool


@pytest.fixture
def no_more_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fixture to request late: from then on the system starts no thread, as at a limit."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)


def call() -> str:
    """Stands for the function that a server runs for each call."""
    begun()
    return threading.current_thread().name


def test_without_further_threads_a_call_waits_for_an_existing_one(
    pool: AdmissionPool, request: pytest.FixtureRequest
) -> None:
    """A limit on threads makes a call wait at a peak, but does not end the server."""
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


def test_without_any_thread_the_caller_gets_an_error(pool: AdmissionPool, request: pytest.FixtureRequest) -> None:
    """No call waits for ever, and no place stays taken."""
    request.getfixturevalue("no_more_threads")
    with pytest.raises(RuntimeError, match="can't start new thread"):
        pool.submit(call)
    assert pool.admitted == 0
