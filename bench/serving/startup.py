"""``python -m bench.serving.startup``: seconds to serve, imports, and the memory of a further worker.

Takes the planted bundle, or the current one of ``--bundles``. Writes ``build/bench/startup.json`` and prints a table.
"""

import argparse
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.harness.machine import machine
from bench.harness.planted import BUILD, BUNDLES
from bench.harness.processes import write_json
from shortlist.bundle import BundleStore
from shortlist.errors import BundleError
from testbed.services import Service, ServiceFailed, descendants

SERVICES = ("retrieval_service", "ranking_service")
_ROUNDS = 5


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Figures of one service. Proportional set sizes (PSS) are sums over all its processes, parents included.

    ``further_worker_of_bundle`` is the growth by a third worker, as a share of the bundle's size. The second worker
    is no measure, because it also adds the parents.
    """

    start_seconds: float
    start_seconds_all: list[float]
    start_seconds_two_workers: float
    imported_modules: int
    import_seconds: float
    pss_mb_one_worker: float
    pss_mb_two_workers: float
    pss_mb_three_workers: float
    further_worker_of_bundle: float


@dataclass(frozen=True, kw_only=True)
class _Start:
    seconds: float
    pss_mb: float


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m bench.serving.startup", description=__doc__)
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
    # PyTorch is loaded for this step only.
    from bench.harness.planted_bundle import planted_bundle

    planted_bundle()
    return BUNDLES


def _figures(name: str, bundles: Path, size: float) -> Figures:
    rounds = track(range(_ROUNDS), name, console=Console(stderr=True))
    alone = [_start(name, bundles, 1) for _ in rounds]
    two, three = _start(name, bundles, 2), _start(name, bundles, 3)
    modules, import_seconds = _imports(name)
    seconds = [start.seconds for start in alone]
    return Figures(
        start_seconds=statistics.median(seconds),
        start_seconds_all=seconds,
        start_seconds_two_workers=two.seconds,
        imported_modules=modules,
        import_seconds=import_seconds,
        pss_mb_one_worker=statistics.median(start.pss_mb for start in alone),
        pss_mb_two_workers=two.pss_mb,
        pss_mb_three_workers=three.pss_mb,
        further_worker_of_bundle=(three.pss_mb - two.pss_mb) / size,
    )


def _start(name: str, bundles: Path, workers: int) -> _Start:
    BUILD.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    arguments = ["--bundles", str(bundles), "--workers", str(workers)]
    with Service.start(name, arguments, BUILD / "startup.log") as service:
        seconds = time.perf_counter() - started
        pid = service.process.pid
        return _Start(seconds=seconds, pss_mb=sum(_pss_mb(process) for process in (pid, *descendants(pid))))


def _pss_mb(pid: int) -> float:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) / 1024


def _imports(name: str) -> tuple[int, float]:
    """The number of modules that a service imports, and the seconds of import, by ``-X importtime``."""
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
