"""Records the events of many calls in one commit: a commit waits for the disk, however many events it has."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from live_service.events import Event, Recorded
from live_service.store.event_store import EventStore
from shortlist.errors import Unavailable
from shortlist.observability import metrics

# A commit of more would keep the calls behind it waiting.
_MOST_EVENTS = 4_000
_RETRY_SECONDS = 1.0


@dataclass(kw_only=True, eq=False)
class _Call:
    events: Sequence[Event]
    recorded: Future[Recorded] = field(default_factory=Future)


class GroupCommit:
    """One thread that writes. While a commit waits for the disk, further calls gather for the next one. Thread-safe."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._changed = threading.Condition()
        self._waiting: list[_Call] = []
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        self._thread.start()

    def record(self, events: Sequence[Event], timeout: float) -> Recorded:
        """Records the events; returns once they are on disk.

        Raises:
            Unavailable: the store cannot write, or the service stops; nothing is recorded.
            TimeoutError: it took longer than ``timeout`` seconds; the events may be recorded.
        """
        call = _Call(events=events)
        with self._changed:
            if self._is_closed:
                raise Unavailable("the service is stopping", _RETRY_SECONDS)
            self._waiting.append(call)
            self._changed.notify()
        return call.recorded.result(timeout)

    def close(self) -> None:
        """Ends once all calls so far are recorded."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while calls := self._take():
            self._commit(calls)

    def _take(self) -> list[_Call]:
        """The calls of the next commit; none when there will be no more."""
        with self._changed:
            while not (self._waiting or self._is_closed):
                self._changed.wait()
            count, events = 0, 0
            for call in self._waiting:
                events += len(call.events)
                if count and events > _MOST_EVENTS:
                    break
                count += 1
            calls, self._waiting = self._waiting[:count], self._waiting[count:]
            return calls

    def _commit(self, calls: Sequence[_Call]) -> None:
        events = [event for call in calls for event in call.events]
        try:
            with metrics.COMMIT_SECONDS.time():
                recorded = self._store.record(events)
        except Exception as error:
            for call in calls:
                call.recorded.set_exception(error)
            return
        start = 0
        for call in calls:
            end = start + len(call.events)
            outcomes = recorded.outcomes[start:end]
            call.recorded.set_result(Recorded(position=recorded.position, outcomes=outcomes))
            start = end
