"""How many calls are handled, how many may wait, and that the rest is refused at once."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

import grpc

from shortlist.errors import Overloaded
from shortlist.observability import metrics
from shortlist.status import to_status

P = ParamSpec("P")
R = TypeVar("R")
# By then a queue as long as its bound has moved on.
_RETRY_SECONDS = 0.2
_REFUSAL = to_status(
    Overloaded(f"too many calls wait already; try again in {_RETRY_SECONDS:g} s", _RETRY_SECONDS), "any method"
)
_OVERLOADED = grpc.StatusCode.RESOURCE_EXHAUSTED.name
_thread = threading.local()


class AdmissionPool(ThreadPoolExecutor):
    """A server's threads, ``threads`` of them, and a queue of ``queue`` calls before them.

    gRPC's own pool has a queue without an end, in which every call becomes late once some are. When it ``is_full``,
    give it no more: the server's interceptor refuses instead.
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
        """How many calls wait or are being handled."""
        return self._admitted

    @property
    def is_full(self) -> bool:
        """Whether every place is taken."""
        return self._admitted >= self._places

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Runs ``fn`` in one of the threads; it has to say by :func:`begun` that it does something."""
        with self._lock:
            self._admitted += 1
            self._waiting += 1
        return super().submit(self._run, time.monotonic(), functools.partial(fn, *args, **kwargs))

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


def begun() -> None:
    """Has to be what each call that came by an :class:`AdmissionPool` begins with."""
    _thread.begun = True
    metrics.QUEUE_SECONDS.observe(time.monotonic() - getattr(_thread, "entered", time.monotonic()))


def refusal(refused: Callable[[], grpc.Status]) -> grpc.RpcMethodHandler[Any, Any]:
    """A handler that ends calls with a status.

    It neither waits for the request nor for a thread: gRPC hands a stream over before it has read from it, and this one
    is answered in the thread that took the call. That costs half of what an empty call costs.
    """

    def refuse(requests: object, context: grpc.ServicerContext) -> None:
        context.abort_with_status(refused())

    return grpc.stream_unary_rpc_method_handler(answered_in(_AtOnce(), refuse))


def overloaded(service: str, method: str) -> Callable[[], grpc.Status]:
    """The status of a call that finds the pool full, and its counting."""

    def refused() -> grpc.Status:
        metrics.SHED["queue_full"].inc()
        metrics.call_refused(service, method, _OVERLOADED)
        return _REFUSAL

    return refused


class _AtOnce(ThreadPoolExecutor):
    """No threads: runs what it is given there and then."""

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        done: Future[R] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


def answered_in(pool: ThreadPoolExecutor, method: Callable[..., Any], **attributes: object) -> Callable[..., Any]:
    """A handler whose calls have threads of their own, so that no load keeps them from being answered."""

    @functools.wraps(method)
    def behaviour(*arguments: object) -> object:
        return method(*arguments)

    # By its attributes gRPC knows how to run a handler.
    vars(behaviour).update(attributes, experimental_thread_pool=pool)
    return behaviour
