"""Load on a server, and its cost in CPU time."""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.harness.generator import write_requests
from bench.harness.processes import LineProcess, cpu_seconds

# One generator in Python cannot saturate a server in Python; two can.
_GENERATORS = 2


@dataclass(frozen=True, kw_only=True)
class Target:
    """A method of a running server, the processes whose CPU time counts, and serialised requests to send it."""

    address: str
    method: str
    pids: tuple[int, ...]
    requests: Sequence[bytes]


@dataclass(frozen=True, kw_only=True)
class Load:
    """Figures of a server under a constant number of open calls: CPU in µs a call, latencies in ms."""

    calls: int
    failed: int
    rps: float
    cpu_us: float
    p50_ms: float
    p99_ms: float


class Generators:
    """Load-generating processes."""

    def __init__(self, targets: Mapping[str, Target], processes: Sequence[LineProcess]) -> None:
        self._targets, self._processes = targets, processes

    @property
    def pids(self) -> list[int]:
        """Their process ids."""
        return [process.pid for process in self._processes]

    @property
    def names(self) -> list[str]:
        """The names of the targets."""
        return list(self._targets)

    def load(self, name: str, in_flight: int, seconds: float) -> Load:
        """Keeps ``in_flight`` calls to a target open for some seconds."""
        processes = self._processes[: min(in_flight, len(self._processes))]
        pids = self._targets[name].pids
        before = cpu_seconds(pids)
        for process in processes:
            process.send(f"{name} {in_flight // len(processes)} {seconds}")
        answers = [process.answer() for process in processes]
        spent = cpu_seconds(pids) - before
        latencies = np.concatenate([answer["latencies_ms"] for answer in answers])
        return Load(
            calls=len(latencies),
            failed=sum(answer["failed"] for answer in answers),
            rps=len(latencies) / seconds,
            cpu_us=spent / len(latencies) * 1e6,
            p50_ms=float(np.median(latencies)),
            p99_ms=float(np.percentile(latencies, 99)),
        )


@contextlib.contextmanager
def generators(targets: Mapping[str, Target], folder: Path) -> Iterator[Generators]:
    """Load generators for these targets; their requests are written to ``folder``."""
    known = {}
    for name, target in targets.items():
        path = folder / f"{name}.requests"
        write_requests(path, list(target.requests))
        known[name] = {"address": target.address, "method": target.method, "requests": str(path)}
    (folder / "targets.json").write_text(json.dumps(known))
    with contextlib.ExitStack() as stack:
        processes = [
            stack.enter_context(LineProcess("bench.harness.generator", str(folder / "targets.json")))
            for _ in range(_GENERATORS)
        ]
        yield Generators(targets, processes)
