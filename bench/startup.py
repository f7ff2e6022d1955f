"""``python -m bench.startup``: from exec to serving, what is imported, and what a second worker costs in memory.

Writes ``build/bench/startup.json``.
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

from bench.machine import machine
from bench.planted import BUILD, BUNDLES
from bench.planted_bundle import planted_bundle
from bench.processes import write_json
from demo.services import Service

_ROUNDS = 5
SERVICES = ("retrieval_service", "ranking_service")


def main() -> None:
    """See the module."""
    bundle = planted_bundle()
    size = sum(path.stat().st_size for path in bundle.iterdir()) / 2**20
    services = {name: _service(name, size) for name in SERVICES}
    write_json(BUILD / "startup.json", {"machine": machine(), "bundle_mb": round(size), **services})
    for name, figures in services.items():
        print(name, ", ".join(f"{key} {value:.3g}" for key, value in figures.items()))


def _service(name: str, size: float) -> dict[str, float]:
    seconds = [_start(name, 1)[0] for _ in range(_ROUNDS)]
    one, two = _start(name, 1)[1], _start(name, 2)[1]
    modules, import_seconds = _imports(name)
    return {
        "start_seconds": statistics.median(seconds),
        "imported_modules": modules,
        "import_seconds": import_seconds,
        "pss_mb_one_worker": one,
        "pss_mb_two_workers": two,
        "second_worker_of_bundle": (two - one) / size,
    }


def _start(name: str, workers: int) -> tuple[float, float]:
    """Seconds until it serves, and the proportional set size in MB of the processes that hold the bundle."""
    started = time.perf_counter()
    arguments = ["--bundles", str(BUNDLES), "--workers", str(workers)]
    with Service.start(name, arguments, BUILD / "startup.log") as service:
        seconds = time.perf_counter() - started
        pid = service.process.pid
        pids = [pid]
        if workers > 1:
            children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
            pids = [child for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
        return seconds, sum(_field(child, "Pss") for child in pids)


def _field(pid: int, name: str) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024


def _imports(name: str) -> tuple[int, float]:
    """How many modules a service imports, and the seconds they take, by ``-X importtime``."""
    command = [sys.executable, "-X", "importtime", "-c", f"import {name}.__main__"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stderr.splitlines()[1:]
    microseconds = [int(line.split("|")[0].removeprefix("import time:")) for line in lines if "|" in line]
    return len(microseconds), sum(microseconds) / 1e6


if __name__ == "__main__":
    main()
