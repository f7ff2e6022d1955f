"""Queries that run together: waiting, leading and failing."""

import contextlib
import gc
import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from shortlist.errors import CallerGone, DeadlineExceeded
from shortlist.serving.coalescing import Coalescer

_SOON = 10.0


class _Gate:
    """Doubles numbers, records the batches, and holds each batch until the test releases it."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.entered = threading.Semaphore(0)
        self.open = threading.Semaphore(0)

    def __call__(self, batch: Sequence[int]) -> list[int]:
        self.batches.append(list(batch))
        self.entered.release()
        assert self.open.acquire(timeout=_SOON)
        if 13 in batch:
            raise ValueError("13 is not a number")
        return [number * 2 for number in batch]


def _ask(coalescer: Coalescer[int, int], number: int, seconds: float = _SOON) -> int:
    return coalescer(number, time.monotonic() + seconds)


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + _SOON
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def _queue(
    pool: ThreadPoolExecutor, coalescer: Coalescer[int, int], numbers: Sequence[int], seconds: float = _SOON
) -> list[Future[int]]:
    """Starts queries in this order and returns once all of them wait."""
    futures = []
    for number in numbers:
        futures.append(pool.submit(_ask, coalescer, number, seconds))
        _until(lambda: len(coalescer._waiting) == len(futures))
    return futures


def test_a_lone_query_runs_at_once_in_its_own_thread() -> None:
    """A lone query is never delayed, and needs no other thread."""
    threads = list[int]()

    def run(batch: Sequence[int]) -> list[int]:
        threads.append(threading.get_ident())
        return [number + len(batch) for number in batch]

    assert _ask(Coalescer(run), 1, seconds=0.0) == 2
    assert threads == [threading.get_ident()]


def test_waiting_queries_run_together() -> None:
    """They gather while the maximum of batches runs; one run gives each query its own answer."""
    gate = _Gate()
    coalescer = Coalescer(gate, at_once=1)
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(_ask, coalescer, 1)
        assert gate.entered.acquire(timeout=_SOON)
        others = _queue(pool, coalescer, [2, 3, 4])
        gate.open.release(2)
        assert [future.result(_SOON) for future in (first, *others)] == [2, 4, 6, 8]
    assert gate.batches == [[1], [2, 3, 4]]
    assert not coalescer._running


def test_several_batches_run_at_once_up_to_the_maximum() -> None:
    """With a maximum of two, a second query does not wait for the first."""
    gate = _Gate()
    coalescer = Coalescer(gate, at_once=2)
    with ThreadPoolExecutor(8) as pool:
        both = [pool.submit(_ask, coalescer, number) for number in (1, 2)]
        assert gate.entered.acquire(timeout=_SOON)
        assert gate.entered.acquire(timeout=_SOON)
        gate.open.release(2)
        assert [future.result(_SOON) for future in both] == [2, 4]
    assert sorted(gate.batches) == [[1], [2]]


def test_one_bad_query_in_a_batch_fails_alone() -> None:
    """The batch runs again one by one, and only the bad query's caller gets the error."""
    gate = _Gate()
    coalescer = Coalescer(gate, at_once=1)
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(_ask, coalescer, 1)
        assert gate.entered.acquire(timeout=_SOON)
        good, bad, fine = _queue(pool, coalescer, [2, 13, 4])
        gate.open.release(5)
        assert (first.result(_SOON), good.result(_SOON), fine.result(_SOON)) == (2, 4, 8)
        with pytest.raises(ValueError, match="13"):
            bad.result(_SOON)
    assert _ask(Coalescer(lambda batch: list(batch)), 5) == 5


def test_a_query_stops_waiting_at_its_deadline_and_never_runs() -> None:
    """A caller never waits longer than its deadline, and no work is done for a caller that left."""
    gate = _Gate()
    coalescer = Coalescer(gate, at_once=1)
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(_ask, coalescer, 1)
        assert gate.entered.acquire(timeout=_SOON)
        with pytest.raises(DeadlineExceeded):
            _ask(coalescer, 2, seconds=0.01)
        gate.open.release(2)
        assert first.result(_SOON) == 2
        assert _ask(coalescer, 3) == 6
    assert gate.batches == [[1], [3]]


def test_a_query_that_leaves_its_batch_leaves_the_others_alone() -> None:
    """The query with the most time left leads, so a short deadline cuts no other query short."""
    gate = _Gate()
    coalescer = Coalescer(gate, at_once=1)
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(_ask, coalescer, 1)
        assert gate.entered.acquire(timeout=_SOON)
        (hasty,) = _queue(pool, coalescer, [2], seconds=0.5)
        patient = pool.submit(_ask, coalescer, 3)
        _until(lambda: len(coalescer._waiting) == 2)
        gate.open.release()
        assert first.result(_SOON) == 2
        with pytest.raises(DeadlineExceeded):
            hasty.result(_SOON)
        gate.open.release()
        assert patient.result(_SOON) == 6
    assert gate.batches == [[1], [2, 3]]


def test_many_threads_get_their_own_answers() -> None:
    """Under contention no answer is lost, doubled or given to another caller, and batches do form."""
    sizes = list[int]()

    def run(batch: Sequence[int]) -> list[int]:
        sizes.append(len(batch))
        time.sleep(0.001)
        return [number * 2 for number in batch]

    coalescer = Coalescer(run)
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(lambda number: _ask(coalescer, number), range(500))) == [2 * n for n in range(500)]
    assert sum(sizes) == 500
    assert max(sizes) > 1
    assert not coalescer._running
    assert not coalescer._waiting


def test_a_cancelled_query_is_not_run() -> None:
    """A query that is cancelled while it waits is dropped, and its thread gets an error."""
    gate = _Gate()
    coalescer = Coalescer(gate, at_once=1)
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(_ask, coalescer, 1)
        assert gate.entered.acquire(timeout=_SOON)
        gone = pool.submit(coalescer, 2, time.monotonic() + _SOON, lambda: False)
        _until(lambda: len(coalescer._waiting) == 1)
        other = pool.submit(_ask, coalescer, 3)
        _until(lambda: len(coalescer._waiting) == 2)
        gate.open.release(2)
        assert [first.result(_SOON), other.result(_SOON)] == [2, 6]
        with pytest.raises(CallerGone):
            gone.result(_SOON)
    assert gate.batches == [[1], [3]]


def test_a_coalescer_of_an_own_method_does_not_keep_the_object_alive() -> None:
    """So a replaced bundle frees its memory at once."""

    class Answering:
        def __init__(self) -> None:
            self.together = Coalescer(self.answer)

        def answer(self, batch: Sequence[int]) -> list[int]:
            return list(batch)

    answering = Answering()
    assert _ask(answering.together, 7) == 7
    gone = weakref.ref(answering)
    gc.disable()
    try:
        del answering
        assert gone() is None
    finally:
        gc.enable()


class _Query:
    """A query that can be referred to weakly, unlike a number."""


@pytest.fixture
def uncollected(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Turns the garbage collector off, so that only reference counts free an object."""
    # The test runner keeps each record that is logged, with its traceback.
    caplog.set_level(logging.ERROR, "shortlist.serving.coalescing")
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
def test_an_answered_query_is_freed_at_once() -> None:
    """Proves that no circle is left of a lone query, of one that leads others, and of those that it leads."""
    entered, opened = threading.Semaphore(0), threading.Semaphore(0)

    def run(batch: Sequence[_Query]) -> list[int]:
        entered.release()
        assert opened.acquire(timeout=_SOON)
        return [len(batch)] * len(batch)

    gone = _asked(Coalescer(run), entered, opened)
    assert [one() for one in gone] == [None] * 4


@pytest.mark.usefixtures("uncollected")
def test_a_failed_query_is_freed_at_once() -> None:
    """Proves that no error holds itself by its traceback: alone, in a batch, and after the caller has left."""
    entered, opened = threading.Semaphore(0), threading.Semaphore(0)

    def run(batch: Sequence[_Query]) -> list[int]:
        entered.release()
        assert opened.acquire(timeout=_SOON)
        raise ValueError("no query is answered")

    gone = _asked(Coalescer(run), entered, opened)
    assert [one() for one in gone] == [None] * 4


@pytest.mark.usefixtures("uncollected")
def test_a_failed_query_whose_caller_has_left_is_freed_at_once() -> None:
    """Proves it for an error that nobody takes."""
    entered, opened = threading.Semaphore(0), threading.Semaphore(0)

    def run(batch: Sequence[_Query]) -> list[int]:
        entered.release()
        assert opened.acquire(timeout=_SOON)
        raise ValueError("no query is answered")

    coalescer = Coalescer(run)
    hasty = _Query()
    gone = weakref.ref(hasty)
    with ThreadPoolExecutor(3) as pool:
        pool.submit(_fails, coalescer, _Query())
        assert entered.acquire(timeout=_SOON)
        left = pool.submit(_fails, coalescer, hasty, 0.3)
        del hasty
        pool.submit(_fails, coalescer, _Query())
        _until(lambda: len(coalescer._waiting) == 2)
        opened.release()
        assert entered.acquire(timeout=_SOON)
        left.result(_SOON)
        opened.release(10)
    assert gone() is None


def _fails(coalescer: Coalescer[_Query, int], query: _Query, seconds: float = _SOON) -> None:
    with contextlib.suppress(ValueError, DeadlineExceeded):
        coalescer(query, time.monotonic() + seconds)


def _asked(
    coalescer: Coalescer[_Query, int], entered: threading.Semaphore, opened: threading.Semaphore
) -> list[weakref.ref[_Query]]:
    """Asks one query alone, and three together while it runs."""
    queries = [_Query() for _ in range(4)]
    gone = [weakref.ref(query) for query in queries]
    with ThreadPoolExecutor(4) as pool:
        pool.submit(_fails, coalescer, queries.pop())
        assert entered.acquire(timeout=_SOON)
        while queries:
            pool.submit(_fails, coalescer, queries.pop())
        _until(lambda: len(coalescer._waiting) == 3)
        opened.release(10)
    return gone
