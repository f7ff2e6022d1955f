"""Pools of threads for gRPC's handlers."""

import functools
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class StartedPool(ThreadPoolExecutor):
    """A pool whose threads exist from the start.

    Other pools start each thread when they need it, in gRPC's serving thread. At the system's limit on threads, that
    ends the serving thread, and with it the server.

    Raises:
        RuntimeError: the system gives no more threads.
    """

    def __init__(self, threads: int, name: str) -> None:
        super().__init__(threads, thread_name_prefix=name)
        start_threads(self, threads)


class CallingThread(ThreadPoolExecutor):
    """Has no threads of its own: runs each function at once, in the calling thread."""

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Runs the function."""
        done: Future[R] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


def start_threads(pool: ThreadPoolExecutor, threads: int) -> None:
    """Starts so many of a new pool's threads.

    Raises:
        RuntimeError: the system gives no more threads.
    """
    all_started = threading.Event()
    try:
        for _ in range(threads):
            # No thread is idle before the event, so each call of ``submit`` starts one.
            ThreadPoolExecutor.submit(pool, all_started.wait)
    finally:
        all_started.set()


def processor_nanoseconds(threads: Iterable[threading.Thread]) -> int:
    """The time that threads have used a processor; it stands still while all of them wait."""
    identities = [thread.ident for thread in threads if thread.is_alive()]
    clocks = [time.pthread_getcpuclockid(identity) for identity in identities if identity is not None]
    return sum(map(time.clock_gettime_ns, clocks))


def answered_in(pool: ThreadPoolExecutor, method: Callable[..., Any], **attributes: object) -> Callable[..., Any]:
    """A handler whose calls run in their own pool, so that they are answered under any load."""

    @functools.wraps(method)
    def behaviour(*arguments: object) -> object:
        return method(*arguments)

    # gRPC reads these attributes to choose how it runs a handler.
    vars(behaviour).update(attributes, experimental_thread_pool=pool)
    return behaviour
