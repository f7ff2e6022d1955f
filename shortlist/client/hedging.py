"""Hedging: a second call when the first takes long, within a budget; the first answer counts.

Source: Dean and Barroso, "The Tail at Scale", CACM 56, 2 (2013). The client does it, because gRPC for Python ignores
hedging in a service config.
"""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import asyncio
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import grpc

from shortlist.client.budget import Budget

R = TypeVar("R")


class Hedging:
    """Hedges calls that take longer than ``after`` seconds. Thread-safe.

    Raises:
        ValueError: ``after`` is not a positive number.
    """

    def __init__(self, after: float) -> None:
        if not after > 0:
            raise ValueError(f"hedge_after is {after}; has to be a number of seconds above 0")
        self._after = after
        # At most a tenth more calls, even if all are slow.
        self._budget = Budget(most=10.0, saved=1.0)

    def call(self, start: Callable[[], grpc.Future[R]]) -> R:
        """The answer of the call that succeeds first, of up to two; the RpcError of the last when none succeeds."""
        self._budget.earn()
        done: SimpleQueue[grpc.Future[R]] = SimpleQueue()
        calls = [_started(start, done)]
        try:
            finished = done.get(timeout=self._after)
        except Empty:
            if self._budget.spend():
                calls.append(_started(start, done))
            finished = done.get()
        if len(calls) == 2 and finished.exception() is not None:
            finished = done.get()
        for call in calls:
            call.cancel()
        return finished.result()

    async def call_async(self, start: Callable[[], grpc.aio.UnaryUnaryCall[Any, R]]) -> R:
        """:meth:`call` for asyncio."""
        self._budget.earn()
        tasks = {asyncio.ensure_future(_awaited(start()))}
        try:
            done, _ = await asyncio.wait(tasks, timeout=self._after)
            if not done and self._budget.spend():
                tasks.add(asyncio.ensure_future(_awaited(start())))
            done, waiting = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if waiting and all(task.exception() for task in done):
                done, _ = await asyncio.wait(waiting)
            return min(done, key=lambda task: task.exception() is not None).result()
        finally:
            for task in tasks:
                task.cancel()


def _started(start: Callable[[], grpc.Future[R]], done: SimpleQueue[grpc.Future[R]]) -> grpc.Future[R]:
    call = start()
    call.add_done_callback(lambda _: done.put(call))
    return call


async def _awaited(call: grpc.aio.UnaryUnaryCall[Any, R]) -> R:
    return await call
