"""How many calls are handled, how many may wait, and that the rest is refused at once."""

import functools
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from shortlist.errors import Overloaded
from shortlist.observability import metrics

P = ParamSpec("P")
R = TypeVar("R")
# By then a queue as long as its bound has moved on.
_RETRY_SECONDS = 0.2


_thread = threading.local()


class AdmissionPool(ThreadPoolExecutor):
    """A server's threads, ``threads`` of them, and a queue of ``queue`` calls before them.

    gRPC's own pool has a queue without an end, in which every call becomes late once some are. What finds this queue
    full is given to a thread that only refuses, so that a refusal never waits for the calls that it is refused for.
    """

    def __init__(self, threads: int, queue: int) -> None:
        super().__init__(threads, thread_name_prefix="call")
        self._refusing = ThreadPoolExecutor(1, thread_name_prefix="refuse", initializer=_refuse_from_now_on)
        self._places = threads + queue
        self._admitted = 0
        self._waiting = 0
        self._lock = threading.Lock()
        metrics.QUEUE_LENGTH.set_function(lambda: self._waiting)

    @property
    def admitted(self) -> int:
        """How many calls wait or are being handled."""
        return self._admitted

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Runs ``fn``, in a thread that handles calls or in one that refuses them; it has to ask :func:`admit`."""
        with self._lock:
            if self._admitted >= self._places:
                return self._refusing.submit(fn, *args, **kwargs)
            self._admitted += 1
            self._waiting += 1
        entered = time.monotonic()
        return super().submit(lambda: self._run(entered, lambda: fn(*args, **kwargs)))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """See :class:`ThreadPoolExecutor`."""
        super().shutdown(wait, cancel_futures=cancel_futures)
        self._refusing.shutdown(wait, cancel_futures=cancel_futures)

    def _run(self, entered: float, fn: Callable[[], R]) -> R:
        with self._lock:
            self._waiting -= 1
        _thread.begun, _thread.entered = False, entered
        try:
            return fn()
        finally:
            if not _thread.begun:
                # gRPC begins no call whose caller has gone in the meantime.
                metrics.CANCELLED["queue"].inc()
            with self._lock:
                self._admitted -= 1


def admit() -> None:
    """Has to be what each call that came by an :class:`AdmissionPool` begins with.

    Raises:
        Overloaded: the queue was full when the call came.
    """
    if getattr(_thread, "refuses", False):
        metrics.SHED["queue_full"].inc()
        raise Overloaded(f"too many calls wait already; try again in {_RETRY_SECONDS:g} s", _RETRY_SECONDS)
    _thread.begun = True
    metrics.QUEUE_SECONDS.observe(time.monotonic() - getattr(_thread, "entered", time.monotonic()))


def answered_in(pool: ThreadPoolExecutor, method: Callable[..., Any], **attributes: object) -> Callable[..., Any]:
    """A handler whose calls have threads of their own, so that no load keeps them from being answered."""

    @functools.wraps(method)
    def behaviour(*arguments: object) -> object:
        return method(*arguments)

    # By its attributes gRPC knows how to run a handler.
    vars(behaviour).update(attributes, experimental_thread_pool=pool)
    return behaviour


def _refuse_from_now_on() -> None:
    _thread.refuses = True
