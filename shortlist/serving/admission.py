"""Admission: a bounded number of calls runs, a bounded number waits, and the rest is refused at once."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

import grpc

from shortlist.errors import Overloaded
from shortlist.observability import metrics
from shortlist.observability.logs import Throttled
from shortlist.status import to_status

# Throttled, for any call may cause it.
_LOG = Throttled(logging.getLogger(__name__))
P = ParamSpec("P")
R = TypeVar("R")
# By then even a full queue has moved on.
_RETRY_SECONDS = 0.2
_REFUSAL = to_status(
    Overloaded(f"too many calls are waiting; try again in {_RETRY_SECONDS:g} s", _RETRY_SECONDS), "any method"
)
_OVERLOADED = grpc.StatusCode.RESOURCE_EXHAUSTED.name
_thread = threading.local()


class AdmissionPool(ThreadPoolExecutor):
    """A server's ``threads``, with a queue of at most ``queue`` calls in front of them.

    gRPC's own pool has an endless queue, in which one slow phase makes every later call late. The interceptor refuses
    further calls while the pool ``is_full``.
    """

    def __init__(self, threads: int, queue: int) -> None:
        super().__init__(threads, thread_name_prefix="call")
        self._places = threads + queue
        self._admitted = 0
        self._waiting = 0
        self._lock = threading.Lock()
        metrics.QUEUE_LENGTH.set_function(lambda: self._waiting)

    @property
    def admitted(self) -> int:
        """The number of calls that wait or are being handled."""
        return self._admitted

    @property
    def is_full(self) -> bool:
        """Whether every thread and every place in the queue is taken."""
        return self._admitted >= self._places

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Runs ``fn`` in one of the threads. ``fn`` must call :func:`begun` first."""
        with self._lock:
            self._admitted += 1
            self._waiting += 1
        try:
            return super().submit(self._run, time.monotonic(), functools.partial(fn, *args, **kwargs))
        except RuntimeError:
            with self._lock:
                self._admitted -= 1
                self._waiting -= 1
            raise

    def _adjust_thread_count(self) -> None:
        # When the system gives no more threads, an existing one takes the submitted call, which is queued by now. An
        # error here would end gRPC's own thread, and with it the server.
        try:
            super()._adjust_thread_count()
        except RuntimeError:
            if not self._threads:
                raise
            _LOG.error("cannot start a thread for a call; it waits for one of %d", len(self._threads), exc_info=True)

    def _run(self, entered: float, fn: Callable[[], R]) -> R:
        with self._lock:
            self._waiting -= 1
        _thread.begun, _thread.entered = False, entered
        try:
            return fn()
        finally:
            if not _thread.begun:
                # gRPC skips a call that was cancelled while it waited.
                metrics.CANCELLED["queue"].inc()
            with self._lock:
                self._admitted -= 1


def begun() -> None:
    """Marks a call of an :class:`AdmissionPool` as begun; every call must do so first."""
    _thread.begun = True
    metrics.QUEUE_SECONDS.observe(time.monotonic() - getattr(_thread, "entered", time.monotonic()))


def refusal(refused: Callable[[], grpc.Status]) -> grpc.RpcMethodHandler[Any, Any]:
    """A handler that ends every call with a status, for half the cost of an empty call.

    The handler waits neither for the request nor for a thread. gRPC hands over a stream before it reads from it. The
    handler answers in the thread that accepted the call.
    """

    def refuse(requests: object, context: grpc.ServicerContext) -> None:
        context.abort_with_status(refused())

    return grpc.stream_unary_rpc_method_handler(answered_in(_CallingThread(), refuse))


def overloaded(service: str, method: str) -> Callable[[], grpc.Status]:
    """Makes the status of a call that meets a full pool, and counts the call."""

    def refused() -> grpc.Status:
        metrics.SHED["queue_full"].inc()
        metrics.call_refused(service, method, _OVERLOADED)
        return _REFUSAL

    return refused


class _CallingThread(ThreadPoolExecutor):
    """Has no threads of its own: runs each function at once, in the calling thread."""

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        done: Future[R] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


def answered_in(pool: ThreadPoolExecutor, method: Callable[..., Any], **attributes: object) -> Callable[..., Any]:
    """A handler whose calls run in their own pool, so that they are answered under any load."""

    @functools.wraps(method)
    def behaviour(*arguments: object) -> object:
        return method(*arguments)

    # gRPC reads these attributes to choose how it runs a handler.
    vars(behaviour).update(attributes, experimental_thread_pool=pool)
    return behaviour
