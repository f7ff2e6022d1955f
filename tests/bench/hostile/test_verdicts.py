"""The verdicts of a recorded run, each with a run that breaks its promise alone."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from bench.harness.process_state import ProcessState
from bench.hostile.client import FIRST_DEGRADED, FIRST_LOST
from bench.hostile.verdicts import Attack, Recorded, Verdict, by_attack, verdicts

_BEGIN = 1000.0


def _state(**changes: float) -> ProcessState:
    return replace(
        ProcessState(time=_BEGIN, anonymous_mb=100, resident_mb=200, threads=50, descriptors=40),
        **changes,  # type: ignore[arg-type]
    )


def _run() -> Recorded:
    """2,000 calls over 100 s, all well; checks of two ports; a stopped instance from 1,020 to 1,030."""
    calls = np.stack([_BEGIN + np.arange(2000) / 20, np.full(2000, 5.0), np.zeros(2000)], axis=1)
    times = _BEGIN + np.arange(500) / 5
    checks = np.concatenate([np.stack([times, np.full(500, 3.0), np.full(500, port)], axis=1) for port in (0.0, 1.0)])
    stop = Attack(name="stopped", begin=_BEGIN + 20, end=_BEGIN + 30, counts={}, silenced="retrieval-2")
    burst = Attack(name="burst", begin=_BEGIN + 40, end=_BEGIN + 50, counts={"sent": 5000, "unexplained": 0})
    return Recorded(
        calls=calls,
        checks=checks,
        ports=["ranking", "retrieval-2, probes"],
        attacks=[stop, burst],
        states=[{"ranking": _state()}, {"ranking": _state()}],
        exits={},
    )


def _with_outcome(run: Recorded, begin: float, end: float, outcome: int) -> Recorded:
    calls = run.calls.copy()
    calls[(calls[:, 0] >= _BEGIN + begin) & (calls[:, 0] < _BEGIN + end), 2] = outcome
    return replace(run, calls=calls)


def _with_check(run: Recorded, at: float, port: int, milliseconds: float) -> Recorded:
    checks = run.checks.copy()
    checks[(np.abs(checks[:, 0] - _BEGIN - at) < 0.1) & (checks[:, 2] == port), 1] = milliseconds
    return replace(run, checks=checks)


def _with_state(run: Recorded, **changes: float) -> Recorded:
    return replace(run, states=[*run.states[:-1], {"ranking": _state(**changes)}])


def _broken(run: Recorded) -> list[Verdict]:
    return [verdict for verdict in verdicts(run) if not verdict.holds]


def test_a_run_without_a_fault_keeps_every_promise() -> None:
    """Proves that the planted run breaks nothing, so that each test below breaks one promise alone."""
    assert _broken(_run()) == []


@pytest.mark.parametrize(
    ("breaks", "promise"),
    [
        (lambda run: _with_outcome(run, 60, 60.3, FIRST_LOST), "honest calls lost"),
        (lambda run: _with_outcome(run, 43, 43.1, FIRST_DEGRADED), "no answer degraded"),
        (lambda run: _with_check(run, 60, 0, 101), "health ≤ 100 ms: ranking"),
        (lambda run: _with_check(run, 60, 1, float("inf")), "health ≤ 100 ms: retrieval-2, probes"),
        (lambda run: _with_state(run, anonymous_mb=106), "memory back"),
        (lambda run: _with_state(run, resident_mb=211), "memory back"),
        (lambda run: _with_state(run, threads=60), "threads back"),
        (lambda run: _with_state(run, descriptors=60), "descriptors back"),
        (lambda run: replace(run, exits={"ranking": 134}), "every process lives"),
        (
            lambda run: replace(run, attacks=[*run.attacks, replace(run.attacks[1], counts={"unexplained": 1})]),
            "every refused call",
        ),
        (
            lambda run: replace(run, attacks=[*run.attacks, replace(run.attacks[1], counts={"not taken": 1})]),
            "a good bundle after",
        ),
    ],
)
def test_a_promise_can_be_broken(breaks: Callable[[Recorded], Recorded], promise: str) -> None:
    """Proves that a run with one fault breaks the promise about it, and no other."""
    (broken,) = _broken(breaks(_run()))
    assert broken.promise.startswith(promise)


def test_growth_in_later_rounds_is_told_from_that_of_the_first() -> None:
    """Proves that memory which only the first round left breaks one promise, and a leak in every round both."""
    sizes = [{"ranking": _state(anonymous_mb=size)} for size in (100, 106, 106)]
    (broken,) = _broken(replace(_run(), states=sizes))
    assert broken.promise.startswith("memory back")
    assert broken.figure.startswith("anonymous 100 → 106 → 106 MB")
    sizes[-1] = {"ranking": _state(anonymous_mb=112)}
    assert len(_broken(replace(_run(), states=sizes))) == 2


def test_what_an_attack_may_do_breaks_no_promise() -> None:
    """Proves that degraded answers in the first two seconds, and the silence of a stopped process, are excused."""
    run = _with_outcome(_run(), 40, 42, FIRST_DEGRADED)
    assert _broken(_with_check(run, 25, 1, float("inf"))) == []


def test_the_figures_of_an_attack_are_of_its_own_time() -> None:
    """Proves that calls and checks outside of an attack, and checks of a stopped process, are not in its row."""
    run = _with_check(_with_outcome(_run(), 41, 42, FIRST_LOST), 45, 0, 70)
    stop, burst = by_attack(_with_check(run, 25, 1, float("inf")))
    assert (stop["calls"], stop["lost"], stop["health_ms"]) == (200, 0, 3.0)
    assert (burst["calls"], burst["lost"], burst["health_ms"]) == (200, 20, 70.0)
    assert burst["counts"] == {"sent": 5000, "unexplained": 0}
