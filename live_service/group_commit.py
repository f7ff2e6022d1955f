"""Writes what many calls bring in one commit: a commit waits for the disk, however much it writes."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

from live_service.committed import Committed
from shortlist.errors import Unavailable
from shortlist.observability import metrics

Given = TypeVar("Given")
Outcome = TypeVar("Outcome")
# A commit of more would keep the calls behind it waiting.
_MOST_AT_ONCE = 4_000
_RETRY_SECONDS = 1.0


class _Call(Generic[Given, Outcome]):
    def __init__(self, given: Sequence[Given]) -> None:
        self.given = given
        self.committed = Future[Committed[Outcome]]()


class GroupCommit(Generic[Given, Outcome]):
    """One thread that writes. While a commit waits for the disk, further calls gather for the next one. Thread-safe.

    ``write`` writes all that it is given, or nothing; ``name`` is that of the thread.
    """

    def __init__(self, write: Callable[[Sequence[Given]], Committed[Outcome]], name: str) -> None:
        self._write = write
        self._changed = threading.Condition()
        self._waiting: list[_Call[Given, Outcome]] = []
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def commit(self, given: Sequence[Given], timeout: float) -> Committed[Outcome]:
        """Writes what is given; returns once it is on disk.

        Raises:
            Unavailable: the store cannot write, or the service stops; nothing is written.
            TimeoutError: it took longer than ``timeout`` seconds; all may be written.
        """
        call = _Call[Given, Outcome](given)
        with self._changed:
            if self._is_closed:
                raise Unavailable("the service is stopping", _RETRY_SECONDS)
            self._waiting.append(call)
            self._changed.notify()
        return call.committed.result(timeout)

    def close(self) -> None:
        """Ends once all calls so far are written."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while calls := self._take():
            self._commit(calls)

    def _take(self) -> list[_Call[Given, Outcome]]:
        """The calls of the next commit; none when there will be no more."""
        with self._changed:
            while not (self._waiting or self._is_closed):
                self._changed.wait()
            count, things = 0, 0
            for call in self._waiting:
                things += len(call.given)
                if count and things > _MOST_AT_ONCE:
                    break
                count += 1
            calls, self._waiting = self._waiting[:count], self._waiting[count:]
            return calls

    def _commit(self, calls: Sequence[_Call[Given, Outcome]]) -> None:
        given = [one for call in calls for one in call.given]
        try:
            with metrics.COMMIT_SECONDS.time():
                committed = self._write(given)
        except Exception as error:
            for call in calls:
                call.committed.set_exception(error)
            return
        start = 0
        for call in calls:
            end = start + len(call.given)
            outcomes = committed.outcomes[start:end]
            call.committed.set_result(Committed(position=committed.position, outcomes=outcomes))
            start = end
