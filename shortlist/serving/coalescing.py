"""Batches queries that wait at the same time: one call to the next stage and one run of a model for all of them."""

import inspect
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar, cast
from weakref import WeakMethod

from shortlist.errors import CallerGone, DeadlineExceeded
from shortlist.observability import metrics

_LOG = logging.getLogger(__name__)
Q = TypeVar("Q")
A = TypeVar("A")

# A second batch at once would halve the batches and make a request a fifth dearer. More workers use more cores better.
_BATCHES_AT_ONCE = 1
# Larger batches gain nothing, and do not fit the cache.
_MAX_BATCH = 16


class Coalescer(Generic[Q, A]):
    """Runs a function of a batch for threads that bring one query each.

    While fewer than ``at_once`` batches run, a query starts at once, alone and in its own thread: a lone query is never
    delayed. Other queries wait until a batch ends. Then the thread of the query with the most time left runs all that
    wait. The answer to a query must not depend on the rest of its batch.
    """

    def __init__(self, run: Callable[[Sequence[Q]], Sequence[A]], *, at_once: int = _BATCHES_AT_ONCE) -> None:
        # The object of a method owns the coalescer, and has to be freed as soon as a new bundle replaces it. A circle
        # of the two would wait for the garbage collector, which never looks at objects made at start.
        self._run = WeakMethod(run) if inspect.ismethod(run) else lambda: run
        self._at_once = at_once
        self._lock = threading.Lock()
        self._running = 0
        self._waiting: list[_Slot[Q, A]] = []

    def __call__(self, query: Q, deadline: float, is_wanted: Callable[[], bool] = lambda: True) -> A:
        """The answer to one query; ``deadline`` is in the seconds of ``time.monotonic``.

        A query that waited is not run when its answer is not wanted any more.

        Raises:
            DeadlineExceeded: the deadline passed while the query waited, or while another thread ran it.
            CallerGone: the answer is not wanted any more.
            Exception: the function raised it for this query alone.
        """
        slot = _Slot[Q, A](query, deadline, is_wanted)
        if self._starts(slot) or self._leads_after_waiting(slot):
            try:
                self._answer([*slot.batch])
            finally:
                slot.batch = []
                self._pass_on()
        return slot.take()

    def _starts(self, slot: "_Slot[Q, A]") -> bool:
        with self._lock:
            if self._running == self._at_once:
                self._waiting.append(slot)
                return False
            self._running += 1
        slot.batch = [slot]
        return True

    def _leads_after_waiting(self, slot: "_Slot[Q, A]") -> bool:
        if not slot.wait():
            with self._lock:
                if slot in self._waiting:
                    self._waiting.remove(slot)
                # A query that was made the leader in the meantime has to lead, because the others rely on it.
                if not slot.batch:
                    metrics.EXPIRED["batch"].inc()
                    raise DeadlineExceeded("the deadline passed while the call waited for other calls")
        return bool(slot.batch)

    def _pass_on(self) -> None:
        with self._lock:
            batch = self._next_batch()
            if not batch:
                self._running -= 1
                return
            leader = max(batch, key=lambda slot: slot.deadline)
            leader.batch = batch
        leader.wake()

    def _next_batch(self) -> "list[_Slot[Q, A]]":
        """The queries that have waited the longest; fails those whose caller has gone."""
        batch: list[_Slot[Q, A]] = []
        while self._waiting and len(batch) < _MAX_BATCH:
            slot = self._waiting.pop(0)
            if slot.is_wanted():
                batch.append(slot)
            else:
                metrics.CANCELLED["batch"].inc()
                slot.fail(CallerGone("the call was cancelled while it waited"))
        return batch

    def _answer(self, batch: "list[_Slot[Q, A]]") -> None:
        """Answers every query of the batch, and empties it.

        The traceback of an error holds this frame. A slot left in the frame would hold its error, and so itself.
        """
        run = self._run()
        assert run is not None, "a thread that waits for an answer holds the object that gives it"
        metrics.BATCH_SIZE.observe(len(batch))
        try:
            answers = run([slot.query for slot in batch])
        except Exception as error:
            if len(batch) == 1:
                batch.pop().fail(error)
                return
            _LOG.warning("a batch of %d failed; running each query alone", len(batch), exc_info=True)
        else:
            assert len(answers) == len(batch), "a run gives each query one answer"
            for answer in answers:
                batch.pop(0).succeed(answer)
        # One query is at fault, and only that one is to fail.
        while batch:
            self._answer([batch.pop(0)])


class _Slot(Generic[Q, A]):
    """A query that waits, is made the leader of a ``batch``, or is answered."""

    __slots__ = ("_answer", "_error", "_woken", "batch", "deadline", "is_wanted", "query")

    def __init__(self, query: Q, deadline: float, is_wanted: Callable[[], bool]) -> None:
        self.query, self.deadline, self.is_wanted = query, deadline, is_wanted
        self.batch: list[_Slot[Q, A]] = []
        self._answer: A | None = None
        self._error: Exception | None = None
        # A lock that the waking thread releases. An Event costs more: it is a lock, a condition and a deque.
        self._woken = threading.Lock()
        self._woken.acquire()

    def wait(self) -> bool:
        return self._woken.acquire(timeout=max(0.0, self.deadline - time.monotonic()))

    def wake(self) -> None:
        self._woken.release()

    def succeed(self, answer: A) -> None:
        self._answer = answer
        self._done()

    def fail(self, error: Exception) -> None:
        self._error = error
        self._done()

    def take(self) -> A:
        """The answer, once: a raised error holds this frame, so the slot must not hold the error."""
        error, self._error = self._error, None
        if error is None:
            return cast(A, self._answer)
        try:
            raise error
        finally:
            del error

    def _done(self) -> None:
        # The leader does not wait.
        if not self.batch:
            self.wake()
