"""The summary of the rounds, as a result and as a table."""

import statistics
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.peers.measure import Rounds

# Aimed ratio of our best requests a second to the peer's best.
_TARGETS = {"ray": 8.0, "triton": 4.0}


def summary(rounds: Rounds) -> dict[str, Any]:
    """Medians and ranges of the rounds by server and calls in flight, and the ratio of our best to each peer's."""
    servers: dict[str, dict[str, Any]] = {}
    for (name, in_flight), figures in rounds.items():
        values = {key: [one[key] for one in figures] for key in figures[0]}
        medians = {key: statistics.median(of_key) for key, of_key in values.items()}
        failed = int(sum(values["failed"]))
        spread = {"rps_low": min(values["rps"]), "rps_high": max(values["rps"])}
        servers.setdefault(name, {})[str(in_flight)] = {**medians, **spread, "failed": failed}
    return {"servers": servers, "ratios": {name: _ratio(rounds, name) for name in _TARGETS}}


def _ratio(rounds: Rounds, peer: str) -> dict[str, float]:
    ours, theirs = _best_by_round(rounds, "shortlist"), _best_by_round(rounds, peer)
    by_round = [own / other if other else float("inf") for own, other in zip(ours, theirs, strict=True)]
    return {
        "ours_to_theirs": statistics.median(by_round),
        "low": min(by_round),
        "high": max(by_round),
        "target": _TARGETS[peer],
    }


def _best_by_round(rounds: Rounds, name: str) -> list[float]:
    """For each round, the most requests a second over all numbers of calls in flight."""
    by_setting = [[one["rps"] for one in figures] for (server, _), figures in rounds.items() if server == name]
    return [max(of_round) for of_round in zip(*by_setting, strict=True)]


def print_report(result: Mapping[str, Any]) -> None:
    """Prints a table of the servers, and the ratios below it."""
    table = Table(title="the same bundle, the same requests, by calls in flight")
    for column in ("", "calls", "rps", "low-high", "p50 ms", "p99 ms", "CPU µs", "failed"):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    for name, settings in result["servers"].items():
        for in_flight, figures in settings.items():
            table.add_row(name, in_flight, *_cells(figures))
        table.add_section()
    console = Console()
    console.print(table)
    console.print(f"lists compared with ours, all equal: {result['lists_compared']} of each peer")
    for name, ratio in result["ratios"].items():
        console.print(
            f"best requests/s, ours to {name}: {ratio['ours_to_theirs']:.2f} "
            f"(rounds {ratio['low']:.2f} to {ratio['high']:.2f}; wanted: {ratio['target']:.0f})"
        )


def _cells(figures: Mapping[str, float]) -> list[str]:
    p99 = f"{figures['p99_ms']:.1f}" if "p99_ms" in figures else ""
    span = f"{figures['rps_low']:.0f}-{figures['rps_high']:.0f}"
    return [
        f"{figures['rps']:.0f}",
        span,
        f"{figures['p50_ms']:.1f}",
        p99,
        f"{figures['cpu_us']:.0f}",
        f"{figures['failed']}",
    ]
