"""The promises, and whether a recorded run keeps them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.harness.process_state import ProcessState
from bench.hostile.client import FIRST_DEGRADED, FIRST_LOST, OUTCOMES

MOST_LOST = 0.001
MOST_HEALTH_MS = 100.0
MOST_GROWTH = 1.05
# From its begin on, an attack may degrade answers for so long.
REACTION_SECONDS = 2.0
# gRPC's own threads, and the connections of a scrape, come and go.
_MORE_THREADS, _MORE_DESCRIPTORS = 4, 4
Rows = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Attack:
    """An attack that went on from ``begin`` to ``end``, in seconds since 1970, and its own counts.

    ``silenced`` is the instance whose health nobody can expect meanwhile, empty for none.
    """

    name: str
    begin: float
    end: float
    counts: Mapping[str, int]
    silenced: str = ""


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A whole run.

    ``calls`` and ``checks`` are the rows that the honest client and the prober write; ``ports`` names the prober's
    ports. ``states`` are those of each process that lives, before any attack and after each round of them. ``exits``
    are the exit codes of the others.
    """

    calls: Rows
    checks: Rows
    ports: Sequence[str]
    attacks: Sequence[Attack]
    states: Sequence[Mapping[str, ProcessState]]
    exits: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A promise, the figure that speaks for or against it, and whether it holds."""

    promise: str
    figure: str
    holds: bool


def verdicts(run: Recorded) -> list[Verdict]:
    """One verdict for each promise."""
    return [_lost(run), _degraded(run), *_health(run), *_states(run), *_attacks_own(run), _alive(run)]


def by_attack(run: Recorded) -> list[dict[str, Any]]:
    """For each attack by name: how often and how long, its counts, and what honest callers and probes saw."""
    rows = []
    for name in dict.fromkeys(attack.name for attack in run.attacks):
        attacks = [attack for attack in run.attacks if attack.name == name]
        calls = run.calls[np.any([_during(run.calls, attack) for attack in attacks], axis=0)]
        checks = run.checks[np.any([_during(run.checks, attack) for attack in attacks], axis=0)]
        checks = checks[~np.any([_is_silenced(run, checks, attack) for attack in attacks], axis=0)]
        rows.append(
            {
                "attack": name,
                "times": len(attacks),
                "seconds": sum(attack.end - attack.begin for attack in attacks),
                "counts": dict(_counts(attacks)),
                "calls": len(calls),
                "lost": int((calls[:, 2] >= FIRST_LOST).sum()),
                "degraded": int(_is_degraded(calls).sum()),
                "p50_ms": _percentile(calls[:, 1], 50),
                "p99_ms": _percentile(calls[:, 1], 99),
                "health_ms": _worst_ms(checks),
            }
        )
    return rows


def outcomes(calls: Rows) -> dict[str, int]:
    """The number of calls by outcome."""
    return {name: int((calls[:, 2] == place).sum()) for place, name in enumerate(OUTCOMES)}


def shown_ms(milliseconds: float | None) -> str:
    """Whole milliseconds; "none" where no answer came."""
    return "none" if milliseconds is None else f"{milliseconds:.0f}"


def _worst_ms(checks: Rows) -> float | None:
    worst = float(checks[:, 1].max()) if len(checks) else 0.0
    # JSON has no infinity.
    return worst if np.isfinite(worst) else None


def _lost(run: Recorded) -> Verdict:
    lost = run.calls[:, 2] >= FIRST_LOST
    share = float(lost.mean()) if len(lost) else 1.0
    figure = f"{int(lost.sum())} of {len(lost)} ({share:.3%})"
    return Verdict(promise=f"honest calls lost ≤ {MOST_LOST:.1%}", figure=figure, holds=share <= MOST_LOST)


def _degraded(run: Recorded) -> Verdict:
    calls = run.calls[_is_degraded(run.calls)]
    ends = calls[:, 0] + calls[:, 1] / 1e3
    excused = np.zeros(len(calls), dtype=bool)
    for attack in run.attacks:
        excused |= (calls[:, 0] <= attack.begin + REACTION_SECONDS) & (ends >= attack.begin)
    late = int((~excused).sum())
    return Verdict(
        promise=f"no answer degraded after the first {REACTION_SECONDS:.0f} s of an attack",
        figure=f"{late} after, {len(calls) - late} within",
        holds=late == 0,
    )


def _health(run: Recorded) -> list[Verdict]:
    silenced = np.any([_is_silenced(run, run.checks, attack) for attack in run.attacks], axis=0)
    found = []
    for place, port in enumerate(run.ports):
        times = run.checks[(run.checks[:, 2] == place) & ~silenced, 1]
        worst = float(times.max()) if len(times) else float("inf")
        late = int((times > MOST_HEALTH_MS).sum())
        figure = f"{late} of {len(times)} later; median {_percentile(times, 50):.1f} ms, worst {worst:.0f} ms"
        promise = f"health ≤ {MOST_HEALTH_MS:.0f} ms: {port}"
        found.append(Verdict(promise=promise, figure=figure, holds=worst <= MOST_HEALTH_MS))
    return found


def _states(run: Recorded) -> list[Verdict]:
    found = []
    for name in run.states[-1]:
        states = [state[name] for state in run.states]
        before, after = states[0], states[-1]
        found += [
            _memory(f"memory back to within 5 %: {name}", states),
            *([_memory(f"memory after the later rounds within 5 %: {name}", states[1:])] if len(states) > 2 else []),
            _back(f"threads back: {name}", before.threads, after.threads, _MORE_THREADS),
            _back(f"descriptors back: {name}", before.descriptors, after.descriptors, _MORE_DESCRIPTORS),
        ]
    return found


def _memory(promise: str, states: Sequence[ProcessState]) -> Verdict:
    """The first attack of a kind leaves some memory behind, where a leak would add as much in every round."""
    series = {
        "anonymous": [state.anonymous_mb for state in states],
        "resident": [state.resident_mb for state in states],
    }
    return Verdict(
        promise=promise,
        figure="; ".join(f"{kind} {' → '.join(f'{one:.0f}' for one in seen)} MB" for kind, seen in series.items()),
        holds=all(seen[-1] <= MOST_GROWTH * seen[0] for seen in series.values()),
    )


def _back(promise: str, before: int, after: int, slack: int) -> Verdict:
    return Verdict(promise=promise, figure=f"{before} → {after}", holds=after <= before + slack)


def _attacks_own(run: Recorded) -> list[Verdict]:
    """The promises that an attack counts by itself: 0 where they hold."""
    promises = {
        "unexplained": "every refused call of a burst is told when to try again",
        "not finite": "every score of an extreme history is finite",
        "not taken": "a good bundle after unusable ones is served",
    }
    totals = _counts(run.attacks)
    return [
        Verdict(promise=promise, figure=f"{totals[kind]} {kind}", holds=not totals[kind])
        for kind, promise in promises.items()
        if kind in totals
    ]


def _counts(attacks: Sequence[Attack]) -> Counter[str]:
    totals = Counter[str]()
    for attack in attacks:
        # An addition would drop zeros.
        totals.update(attack.counts)
    return totals


def _alive(run: Recorded) -> Verdict:
    figure = ", ".join(f"{name} ended with {code}" for name, code in run.exits.items()) or "all"
    return Verdict(promise="every process lives", figure=figure, holds=not run.exits)


def _is_degraded(calls: Rows) -> NDArray[np.bool_]:
    return (calls[:, 2] >= FIRST_DEGRADED) & (calls[:, 2] < FIRST_LOST)


def _during(rows: Rows, attack: Attack) -> NDArray[np.bool_]:
    return (rows[:, 0] >= attack.begin) & (rows[:, 0] < attack.end)


def _is_silenced(run: Recorded, checks: Rows, attack: Attack) -> NDArray[np.bool_]:
    """Checks of an instance that stands still; the check before the begin may still wait for its answer."""
    names = [place for place, port in enumerate(run.ports) if attack.silenced and port.startswith(attack.silenced)]
    near = (checks[:, 0] >= attack.begin - 1) & (checks[:, 0] < attack.end + 1)
    return near & np.isin(checks[:, 2], names)


def _percentile(values: Rows, share: float) -> float:
    return float(np.percentile(values, share)) if len(values) else 0.0
