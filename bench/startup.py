"""``python -m bench.startup``: from exec to serving, what is imported, and what a second worker costs in memory.

Takes the planted bundle, or the current one of ``--bundles``. Writes ``build/bench/startup.json`` and prints a table.
"""

import argparse
import re
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.machine import machine
from bench.planted import BUILD, BUNDLES
from bench.processes import write_json
from demo.services import Service, ServiceFailed, descendants, worker_pids
from shortlist.bundle import BundleStore
from shortlist.errors import BundleError

SERVICES = ("retrieval_service", "ranking_service")
_ROUNDS = 5


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Of one service. ``second_worker_of_bundle`` is what a second worker adds, as a share of the bundle's size.

    Proportional set sizes (PSS) are of the workers; the parent of several holds no bundle, and is told apart.
    """

    start_seconds: float
    start_seconds_all: list[float]
    start_seconds_two_workers: float
    imported_modules: int
    import_seconds: float
    pss_mb_one_worker: float
    pss_mb_two_workers: float
    pss_mb_parent: float
    private_mb_of_a_worker: float
    second_worker_of_bundle: float


@dataclass(frozen=True, kw_only=True)
class _Start:
    seconds: float
    workers: list[dict[str, float]]
    parent: list[dict[str, float]]


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m bench.startup", description=__doc__)
    parser.add_argument("--bundles", type=Path, help="a directory of bundles (default: the planted bundle)")
    bundles = parser.parse_args().bundles or _planted()
    try:
        bundle = BundleStore(bundles).current()
    except BundleError as error:
        raise SystemExit(f"no bundle to start with: {error}") from error
    size = sum(path.stat().st_size for path in bundle.iterdir()) / 2**20
    try:
        figures = {name: _figures(name, bundles, size) for name in SERVICES}
    except ServiceFailed as failure:
        raise SystemExit(str(failure)) from failure
    services = {name: asdict(of_one) for name, of_one in figures.items()}
    write_json(BUILD / "startup.json", {"machine": machine(), "bundle_mb": round(size), **services})
    _print(figures, size)


def _planted() -> Path:
    # Only who builds the bundle needs PyTorch.
    from bench.planted_bundle import planted_bundle

    planted_bundle()
    return BUNDLES


def _figures(name: str, bundles: Path, size: float) -> Figures:
    alone = [_start(name, bundles, 1) for _ in range(_ROUNDS)]
    shared = _start(name, bundles, 2)
    modules, import_seconds = _imports(name)
    one = statistics.median(_sum(start.workers, "Pss") for start in alone)
    two = _sum(shared.workers, "Pss")
    seconds = [start.seconds for start in alone]
    return Figures(
        start_seconds=statistics.median(seconds),
        start_seconds_all=seconds,
        start_seconds_two_workers=shared.seconds,
        imported_modules=modules,
        import_seconds=import_seconds,
        pss_mb_one_worker=one,
        pss_mb_two_workers=two,
        pss_mb_parent=_sum(shared.parent, "Pss"),
        private_mb_of_a_worker=_sum(shared.workers, "Private_Dirty") / 2,
        second_worker_of_bundle=(two - one) / size,
    )


def _start(name: str, bundles: Path, workers: int) -> _Start:
    BUILD.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    arguments = ["--bundles", str(bundles), "--workers", str(workers)]
    with Service.start(name, arguments, BUILD / "startup.log") as service:
        seconds = time.perf_counter() - started
        pid = service.process.pid
        if workers == 1:
            return _Start(seconds=seconds, workers=[_memory(pid)], parent=[])
        workers_of = worker_pids(pid)
        others = {pid, *descendants(pid)} - set(workers_of)
        return _Start(
            seconds=seconds,
            workers=[_memory(child) for child in workers_of],
            parent=[_memory(other) for other in others],
        )


def _memory(pid: int) -> dict[str, float]:
    """The sizes that the kernel tells of a process, in MB."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return {name: int(kilobytes) / 1024 for name, kilobytes in re.findall(r"^(\w+): +(\d+) kB", rollup, re.MULTILINE)}


def _sum(processes: list[dict[str, float]], field: str) -> float:
    return sum(memory[field] for memory in processes)


def _imports(name: str) -> tuple[int, float]:
    """How many modules a service imports, and the seconds they take, by ``-X importtime``."""
    command = [sys.executable, "-X", "importtime", "-c", f"import {name}.service"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stderr.splitlines()[1:]
    microseconds = [int(line.split("|")[0].removeprefix("import time:")) for line in lines if "|" in line]
    return len(microseconds), sum(microseconds) / 1e6


def _print(figures: dict[str, Figures], size: float) -> None:
    table = Table("", *figures, title=f"start-up and memory, bundle of {size:.0f} MB")
    columns = [asdict(of_one) for of_one in figures.values()]
    for key, value in columns[0].items():
        if isinstance(value, float | int):
            table.add_row(key, *(f"{column[key]:.3g}" for column in columns))
    Console().print(table)


if __name__ == "__main__":
    main()
