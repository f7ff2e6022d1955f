"""Two services under the same load, in alternating rounds."""

import statistics
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.progress import track

from bench.harness.load import Target, generators
from bench.live.events import Figures

_IN_FLIGHT = (1, 16)


def compared(targets: Mapping[str, Target], folder: Path, rounds: int, seconds: float, title: str) -> Figures:
    """The median p50 and CPU time of each target, alone and at 16 in flight. Ends the program when a call fails."""
    measured: dict[str, list[float]] = {}
    with generators(targets, folder) as loaded:
        for in_flight in _IN_FLIGHT:
            for name in targets:
                loaded.load(name, in_flight, 1.0)
        for number in track(range(rounds), title, console=Console(stderr=True)):
            for in_flight in _IN_FLIGHT:
                for name in [*targets] if number % 2 == 0 else [*targets][::-1]:
                    load = loaded.load(name, in_flight, seconds)
                    if load.failed:
                        raise SystemExit(f"{load.failed} of {load.calls} calls failed; see the logs in {folder}")
                    measured.setdefault(f"{name}_p50_ms_at_{in_flight}", []).append(load.p50_ms)
                    measured.setdefault(f"{name}_cpu_us_at_{in_flight}", []).append(load.cpu_us)
    return {name: statistics.median(values) for name, values in measured.items()}
