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
from shortlist.observability.throttled import Throttled
from shortlist.serving.crowds import Crowds
from shortlist.serving.incoming import Incoming, ReceivingPool
from shortlist.serving.pools import CallingThread, answered_in
from shortlist.serving.waiting import MOST_WAITING, Unread, Waiting, expire_in_background
from shortlist.status import to_status

# Throttled, for any call may cause it.
_LOG = Throttled(logging.getLogger(__name__))
# By then even a full queue has moved on.
_RETRY_SECONDS = 0.2
# A caller who takes longer to read an answer keeps its place only while nobody else needs it.
_READ_SECONDS = 0.05
# By then the queue is too long for callers who wait for a second.
_LATE_SECONDS = 0.25
_REFUSAL = to_status(
    Overloaded(f"too many calls are waiting; try again in {_RETRY_SECONDS:g} s", _RETRY_SECONDS), "any method"
)
_OVERLOADED = grpc.StatusCode.RESOURCE_EXHAUSTED.name


class _Stage(enum.Enum):
    QUEUED, HANDLED, ANSWERED, ENDED = range(4)


class _Place:
    """A call's place in an :class:`AdmissionPool`."""

    __slots__ = ("call", "connection", "since", "stage")

    def __init__(self, call: Incoming) -> None:
        self.call, self.stage, self.since = call, _Stage.QUEUED, time.monotonic()
        # None while a thread is idle: only the calls of a crowd need it.
        self.connection: bytes | None = None

    def drop_call(self) -> None:
        """Frees the call's message, since the place lies in the queue of the threads until one is idle."""
        del self.call


class AdmissionPool(ReceivingPool):
    """A server's ``threads``, with a queue of at most ``queue`` calls in front of them.

    gRPC's own pool has an endless queue, in which one slow phase makes every later call late. A call takes its place
    when its message arrives. It keeps the place until its answer has been sent, since the answers that nobody reads
    fill the memory. A call that finds no place may take that of an unread answer, or of a queued call of a busier
    connection. Else it is refused. Queued calls are handled in the order of their arrival. From a full queue, or a
    long wait, until an empty queue, connections take turns. So a burst delays others by few of its calls.
    """

    def __init__(self, threads: int, queue: int) -> None:
        self._busy, self._places = threads, threads + queue
        # One thread exists from the start, for the system may give none later.
        super().__init__(threads, "call", Waiting("message", MOST_WAITING), started=1)
        self._unread, self._crowds = Unread(self._places), Crowds[_Place]()
        self._admitted = self._queued = 0
        self._takes_turns = False
        self._lock = threading.Lock()
        metrics.QUEUE_LENGTH.set_function(lambda: self._queued)
        expire_in_background(self._messages, self._unread)

    @property
    def admitted(self) -> int:
        """The number of calls from their headers to the end of their answer."""
        return self._admitted + len(self._messages)

    def accepts(self, call: Incoming) -> bool:
        """Whether there is a place for a call whose headers have arrived, or could be."""
        if len(self._messages) >= MOST_WAITING and not self._messages.has_waited(_READ_SECONDS):
            # A burst, whose messages are on their way. Calls without one have waited longer, and give way.
            return False
        if not self._finds_full() or self._unread.has_waited(_READ_SECONDS):
            return True
        with self._lock:
            return self._crowds.surplus(call.connection) is not None

    @property
    def queued(self) -> int:
        """The number of calls that wait for a thread."""
        return self._queued

    @property
    def has_free_thread(self) -> bool:
        """Whether a further call would find a thread; an estimate, for other threads change the numbers meanwhile."""
        return not self._queued and self._admitted - len(self._unread) < self._busy

    def begin(self, call: Incoming) -> None:
        """Queues a call whose message has arrived, or refuses it."""
        place = _Place(call)
        if not self._admit(place):
            call.refuse(call.when_full)
            return
        if not call.when_ended(lambda: self._ended(place)):
            self._ended(place)
        # Also for a call that has ended: the thread of another queued call may have handled it, and that one needs one.
        ThreadPoolExecutor.submit(self, self._handle, place)

    def _admit(self, place: _Place) -> bool:
        if self._finds_full() and not self._makes_room(place.call):
            return False
        with self._lock:
            self._admitted += 1
            self._queued += 1
            if self._admitted > self._busy:
                place.connection = place.call.connection
                self._crowds.add(place.connection, place)
        return True

    def _finds_full(self) -> bool:
        """Whether all places are taken; from then on connections take turns."""
        full = self._admitted >= self._places
        if full:
            self._takes_turns = True
        return full

    def _makes_room(self, call: Incoming) -> bool:
        return self._unread.cancel_one(_READ_SECONDS) or self._displaces(call)

    def _displaces(self, call: Incoming) -> bool:
        with self._lock:
            surplus = self._crowds.surplus(call.connection)
            if surplus is None:
                return False
            self._leave_queue(surplus, _Stage.ENDED)
            self._admitted -= 1
        surplus.call.refuse(surplus.call.when_full)
        surplus.drop_call()
        return True

    def _leave_queue(self, place: _Place, stage: _Stage) -> None:
        place.stage = stage
        self._queued -= 1
        if not self._queued:
            self._takes_turns = False
        if place.connection is not None:
            self._crowds.remove(place.connection, place)

    def _handle(self, submitted: _Place) -> None:
        """Handles the call that was ``submitted`` when a thread was idle, else the next one of the queue."""
        with self._lock:
            place = submitted if submitted.connection is None else self._next_call()
            if place is None or place.stage is not _Stage.QUEUED:
                return
            self._leave_queue(place, _Stage.HANDLED)
        metrics.QUEUE_SECONDS.observe(time.monotonic() - place.since)
        try:
            place.call.respond()
        finally:
            self._handled(place)

    def _next_call(self) -> _Place | None:
        oldest = self._crowds.oldest()
        if oldest is not None and time.monotonic() - oldest.since >= _LATE_SECONDS:
            self._takes_turns = True
        return self._crowds.next() if self._takes_turns else oldest

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
            if stage is _Stage.HANDLED or stage is _Stage.ENDED:
                # Its thread works on, or it gave its place away.
                return
            self._admitted -= 1
            if stage is _Stage.QUEUED:
                self._leave_queue(place, _Stage.ENDED)
                metrics.CANCELLED["queue"].inc()
            else:
                self._unread.remove(place.call)
            place.drop_call()

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
