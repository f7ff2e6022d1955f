"""Notices that gRPC serves no more, which no health check on another port shows."""

import time
from collections.abc import Sequence
from threading import Thread

from shortlist.serving.pools import processor_nanoseconds

# gRPC's serving thread wakes up once a second, with or without calls. Looks are counted, and not seconds, since a
# process that was stopped for a while is well.
_LOOK_SECONDS, _LOOKS = 1.0, 10
# macOS has no such clocks, and is no place to serve from.
_CLOCKS = hasattr(time, "pthread_getcpuclockid")


class Watchdog:
    """Watches the threads that gRPC serves with.

    An error that gRPC does not catch ends such a thread, and a lock or a full pipe blocks it for ever. The process
    stays in both cases, and answers no call. A thread is blocked when it has used no processor for ``looks`` looks.
    """

    def __init__(self, threads: Sequence[Thread], *, look_seconds: float = _LOOK_SECONDS, looks: int = _LOOKS) -> None:
        self._look_seconds, self._looks = look_seconds, looks
        self._due = 0.0
        self._used = dict.fromkeys(threads, -1)
        self._idle = dict.fromkeys(threads, 0)

    @property
    def is_serving(self) -> bool:
        """Whether all the threads live and get on; to be asked again and again."""
        if not all(thread.is_alive() for thread in self._used):
            return False
        if _CLOCKS and time.monotonic() >= self._due:
            self._due = time.monotonic() + self._look_seconds
            self._look()
        return all(idle < self._looks for idle in self._idle.values())

    def _look(self) -> None:
        for thread, before in self._used.items():
            self._used[thread] = processor_nanoseconds([thread])
            self._idle[thread] = self._idle[thread] + 1 if self._used[thread] == before else 0
