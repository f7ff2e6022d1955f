"""Tells the parent of a worker that the worker is alive, so that the parent need not kill it."""

import contextlib
import time

from shortlist.serving.admission import AdmissionPool
from shortlist.serving.pools import processor_nanoseconds
from shortlist.serving.worker import BEAT_SECONDS, Worker

_ALIVE = "alive"


class Heartbeat:
    """Tells a worker's parent once a second that its main thread runs, and that its calls get on.

    Calls get on while a thread is free, or while any of them computes. Threads that share few cores may all be busy
    for long before the first of their calls ends.
    """

    def __init__(self, worker: Worker, calls: AdmissionPool) -> None:
        self._worker, self._calls = worker, calls
        self._due = 0.0
        self._computed = 0

    def beat(self) -> None:
        """Runs in the main thread, again and again, while calls are accepted."""
        if time.monotonic() >= self._due and (self._calls.has_free_thread or self._has_computed()):
            self._announce()

    def beat_draining(self) -> None:
        """Runs in the main thread, again and again, while the last calls have as long as they need."""
        if time.monotonic() >= self._due:
            self._announce()

    def _has_computed(self) -> bool:
        """Whether a thread of the calls has used the processor since the last look."""
        # A copy, for another thread may start one meanwhile.
        before, self._computed = self._computed, processor_nanoseconds(tuple(self._calls._threads))
        return self._computed != before

    def _announce(self) -> None:
        self._due = time.monotonic() + BEAT_SECONDS
        # The parent may have gone first.
        with contextlib.suppress(OSError):
            self._worker.announce(_ALIVE)
