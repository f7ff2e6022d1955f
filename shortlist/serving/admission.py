"""Admission: a bounded number of calls runs, a bounded number waits, and the rest is refused at once."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import enum
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from shortlist.errors import Overloaded
from shortlist.observability import metrics
from shortlist.observability.logs import Throttled
from shortlist.serving.incoming import Incoming, ReceivingPool
from shortlist.serving.pools import CallingThread, answered_in
from shortlist.serving.waiting import MOST_WAITING, Unread, Waiting, expire_in_background
from shortlist.status import to_status

# Throttled, for any call may cause it.
_LOG = Throttled(logging.getLogger(__name__))
# By then even a full queue has moved on.
_RETRY_SECONDS = 0.2
# A caller who needs longer to read an answer keeps its place only while nobody else needs it.
_READ_SECONDS = 0.05
_REFUSAL = to_status(
    Overloaded(f"too many calls are waiting; try again in {_RETRY_SECONDS:g} s", _RETRY_SECONDS), "any method"
)
_OVERLOADED = grpc.StatusCode.RESOURCE_EXHAUSTED.name


class _Stage(enum.Enum):
    QUEUED, HANDLED, ANSWERED, ENDED = range(4)


class _Place:
    """A call's place in an :class:`AdmissionPool`."""

    __slots__ = ("call", "since", "stage")

    def __init__(self, call: Incoming) -> None:
        self.call, self.stage, self.since = call, _Stage.QUEUED, time.monotonic()


class AdmissionPool(ReceivingPool):
    """A server's ``threads``, with a queue of at most ``queue`` calls in front of them.

    gRPC's own pool has an endless queue, in which one slow phase makes every later call late. The interceptor refuses
    further calls while the pool ``is_full``. A call takes its place when its message arrives. It keeps the place until
    its answer has been sent, since the answers that nobody reads fill the memory.
    """

    def __init__(self, threads: int, queue: int) -> None:
        self._places = threads + queue
        # One thread exists from the start, for the system may give none later.
        super().__init__(threads, "call", Waiting("message", MOST_WAITING), started=1)
        self._unread = Unread(self._places)
        self._admitted = self._queued = 0
        self._lock = threading.Lock()
        metrics.QUEUE_LENGTH.set_function(lambda: self._queued)
        expire_in_background(self._messages, self._unread)

    @property
    def admitted(self) -> int:
        """The number of calls from their headers to the end of their answer."""
        return self._admitted + len(self._messages)

    @property
    def is_full(self) -> bool:
        """Whether every thread and every place in the queue is taken."""
        return self._admitted >= self._places and not self._unread.has_waited(_READ_SECONDS)

    def begin(self, call: Incoming) -> None:
        """Queues a call whose message has arrived, or refuses it."""
        place = _Place(call)
        if not self._admit():
            call.refuse(call.when_full)
        elif not call.when_ended(lambda: self._ended(place)):
            self._ended(place)
        else:
            ThreadPoolExecutor.submit(self, self._handle, place)

    def _admit(self) -> bool:
        if self._admitted >= self._places and not self._unread.cancel_one(_READ_SECONDS):
            return False
        with self._lock:
            self._admitted += 1
            self._queued += 1
        return True

    def _handle(self, place: _Place) -> None:
        with self._lock:
            if place.stage is not _Stage.QUEUED:
                return
            place.stage = _Stage.HANDLED
            self._queued -= 1
        metrics.QUEUE_SECONDS.observe(time.monotonic() - place.since)
        try:
            place.call.respond()
        finally:
            self._handled(place)

    def _handled(self, place: _Place) -> None:
        with self._lock:
            if place.stage is _Stage.ENDED:
                self._admitted -= 1
            else:
                place.stage = _Stage.ANSWERED
                self._unread.add(place.call)

    def _ended(self, place: _Place) -> None:
        with self._lock:
            stage, place.stage = place.stage, _Stage.ENDED
            if stage is _Stage.HANDLED:
                # Its thread works on.
                return
            self._admitted -= 1
            if stage is _Stage.QUEUED:
                self._queued -= 1
                metrics.CANCELLED["queue"].inc()
            else:
                self._unread.remove(place.call)

    def _adjust_thread_count(self) -> None:
        # When the system gives no more threads, an existing one takes the call, which is queued by now. An error here
        # would cancel the call.
        try:
            super()._adjust_thread_count()
        except RuntimeError:
            if not self._threads:
                raise
            _LOG.error("cannot start a thread for a call; it waits for one of %d", len(self._threads), exc_info=True)


def refusal(refused: Callable[[], grpc.Status]) -> grpc.RpcMethodHandler[Any, Any]:
    """A handler that ends every call with a status, for half the cost of an empty call.

    The handler waits neither for the request nor for a thread. gRPC hands over a stream before it reads from it. The
    handler answers in the thread that accepted the call.
    """

    def refuse(requests: object, context: grpc.ServicerContext) -> None:
        context.abort_with_status(refused())

    return grpc.stream_unary_rpc_method_handler(answered_in(CallingThread(), refuse))


def overloaded(service: str, method: str) -> Callable[[], grpc.Status]:
    """Makes the status of a call that meets a full pool, and counts the call."""

    def refused() -> grpc.Status:
        metrics.SHED["queue_full"].inc()
        metrics.call_refused(service, method, _OVERLOADED)
        return _REFUSAL

    return refused
