"""The callers who watch the health: each gets the present state, and then every change."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from queue import SimpleQueue

import grpc
from grpc_health.v1.health_pb2 import HealthCheckResponse

from shortlist.serving.waiting import MOST_WAITING, Waiting, expire_in_background

_LOG = logging.getLogger(__name__)
# A watcher's client reads at once. One that does not keeps the news from others.
_READ_SECONDS = 0.1


class Watchers:
    """Tells watchers the states of ``states``, which holds a status by service name. Thread-safe.

    A message is sent once gRPC's serving thread says so, and that thread also reports the end of a call. So nothing is
    sent under a lock that the end of a call needs: the two would wait for each other for ever.

    Raises:
        RuntimeError: the system gives no more threads.
    """

    def __init__(self, states: Mapping[str, int]) -> None:
        self._states = states
        self._watchers: dict[_Watcher, None] = {}
        self._lock = threading.Lock()
        self._unread = Waiting[grpc.ServicerContext]("answer", MOST_WAITING, _READ_SECONDS)
        expire_in_background(self._unread)
        # A watcher may never read, so a thread informs them for which nobody waits.
        self._changes: SimpleQueue[None] = SimpleQueue()
        threading.Thread(target=self._keep_telling, name="health", daemon=True).start()

    def add(self, service: str, context: grpc.ServicerContext, send: Callable[[HealthCheckResponse], None]) -> None:
        """Sends the state of a service, which need not be known, and each later one until the call ends."""
        watcher = _Watcher(service, context, send)
        with self._lock:
            self._watchers[watcher] = None
        if context.add_callback(lambda: self._remove(watcher)):
            self._tell(watcher)
        else:
            self._remove(watcher)

    def changed(self) -> None:
        """The states are others now."""
        self._changes.put(None)

    def _remove(self, watcher: _Watcher) -> None:
        with self._lock:
            self._watchers.pop(watcher, None)

    def _keep_telling(self) -> None:
        while True:
            self._changes.get()
            with self._lock:
                watchers = list(self._watchers)
            for watcher in watchers:
                try:
                    self._tell(watcher)
                except Exception:
                    # It would end the thread, and no watcher would hear of a drain.
                    _LOG.exception("cannot inform a watcher of the health")

    def _tell(self, watcher: _Watcher) -> None:
        with watcher.telling:
            status = self._states.get(watcher.service, HealthCheckResponse.SERVICE_UNKNOWN)
            if status == watcher.told:
                return
            watcher.told = status
            self._unread.add(watcher.context)
            try:
                watcher.send(HealthCheckResponse(status=status))
            finally:
                self._unread.remove(watcher.context)


class _Watcher:
    """A call that watches a service. ``telling`` is for those who send, and keeps the states in their order."""

    def __init__(
        self, service: str, context: grpc.ServicerContext, send: Callable[[HealthCheckResponse], None]
    ) -> None:
        self.service, self.context, self.send = service, context, send
        self.telling = threading.Lock()
        self.told: int | None = None
