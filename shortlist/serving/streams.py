"""Threads for calls that stay: one for each stream, and a bounded number of streams."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from shortlist.serving.incoming import Incoming, ReceivingPool
from shortlist.serving.waiting import Waiting, expire_in_background


class StreamPool(ReceivingPool):
    """At most ``most`` streams; a further one is refused at once.

    The interceptor sends the streams of a method here when the method is marked by ``answered_in``.

    Raises:
        RuntimeError: the system gives no more threads.
    """

    def __init__(self, most: int, name: str) -> None:
        messages = Waiting[Incoming]("message", most)
        super().__init__(most, name, messages, started=most)
        self._most, self._streams = most, 0
        self._lock = threading.Lock()
        expire_in_background(messages)

    def begin(self, call: Incoming) -> None:
        """Gives a call whose message has arrived a thread, or refuses it."""
        with self._lock:
            finds_place = self._streams < self._most
            self._streams += finds_place
        if finds_place:
            ThreadPoolExecutor.submit(self, self._run, call)
        else:
            call.refuse(call.when_full)

    def _run(self, call: Incoming) -> None:
        try:
            call.respond()
        finally:
            with self._lock:
                self._streams -= 1
