"""Calls that wait for their callers, on a busy machine and on an idle one."""

import time

import pytest

from shortlist.serving.waiting import Waiting


class Call:
    """A call that knows whether it was cancelled."""

    is_cancelled = False

    def cancel(self) -> None:
        """See :class:`shortlist.serving.waiting.Cancellable`."""
        self.is_cancelled = True


@pytest.fixture
def waiting() -> Waiting[Call]:
    """No call has waited yet; each may wait for 50 ms."""
    return Waiting("answer", most=10, seconds=0.05)


def _wait(waiting: Waiting[Call], times: int, seconds: float) -> None:
    for _ in range(times):
        call = Call()
        waiting.add(call)
        time.sleep(seconds)
        assert waiting.remove(call)


def _is_cancelled_after_twice_its_time(waiting: Waiting[Call]) -> bool:
    call = Call()
    waiting.add(call)
    time.sleep(0.1)
    waiting.expire()
    waiting.remove(call)
    return call.is_cancelled


def test_a_call_that_waits_much_longer_than_others_is_cancelled(waiting: Waiting[Call]) -> None:
    """Its own time is over, and the process is not busy."""
    _wait(waiting, 5, 0.0)
    assert _is_cancelled_after_twice_its_time(waiting)


def test_a_call_that_is_late_like_all_others_is_not_cancelled(waiting: Waiting[Call]) -> None:
    """Where every call takes long, the process is busy, and no caller is at fault."""
    _wait(waiting, 20, 0.03)
    assert not _is_cancelled_after_twice_its_time(waiting)
    _wait(waiting, 10, 0.0)
    assert _is_cancelled_after_twice_its_time(waiting)
