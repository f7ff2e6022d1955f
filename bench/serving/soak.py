"""``python -m bench.serving.soak``: twenty minutes of load, swaps and faults on both services.

The load is mixed and continuous. A new bundle comes every half minute, clients are killed during their calls, and
Envoy between the stages delays and fails some calls. Writes ``build/soak.json``. The exit code is 1 when a call failed
or memory, threads or descriptors grew.
"""

import argparse
import contextlib
import itertools
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from bench.harness.machine import machine
from bench.harness.planted import BUILD
from bench.harness.planted_bundle import planted_bundle
from bench.harness.process_state import ProcessState, process_state
from bench.harness.processes import write_json
from bench.serving.soak_client import DEGRADED, ENDS, FAILED
from shortlist.serving.settings import ServerSettings
from testbed.proxy import proxy
from testbed.services import Service
from testbed.versions import add_version, publish

_FOLDER = BUILD / "soak"
_SWAP_SECONDS, _CRASH_SECONDS = 30.0, 10.0
# The longest time that both services need to take a new bundle.
_RIPPLE_SECONDS = 5.0
# Six swaps, after which memory is steady.
_SETTLED_SECONDS = 180.0
_MOST_GROWTH = 1.02
# gRPC and the libraries have threads beside those for calls.
_MOST_THREADS = ServerSettings.threads + 32
_FAULTS = {
    "delay": {"fixed_delay": "0.05s", "percentage": {"numerator": 1}},
    "abort": {"grpc_status": 14, "percentage": {"numerator": 1}},
}


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m bench.serving.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20, help="minutes of load (default: 20)")
    seconds = parser.parse_args().minutes * 60
    bundle = planted_bundle()
    shutil.rmtree(_FOLDER, ignore_errors=True)
    _FOLDER.mkdir(parents=True)
    root = _FOLDER / "bundles"
    publish(root, add_version(root, bundle, 0))
    with _services(root) as services:
        swaps, crashes, samples = _soak(services, root, bundle, seconds)
        calls = np.load(_FOLDER / "calls.npy")
    result = _summary(calls, swaps, crashes, samples)
    write_json(BUILD.parent / "soak.json", result)
    for key, value in result.items():
        print(f"{key}: {value}")
    sys.exit(0 if result["passed"] else 1)


@contextlib.contextmanager
def _services(root: Path) -> Iterator[Mapping[str, Service]]:
    bundles = ["--bundles", str(root)]
    with (
        Service.start("retrieval_service", bundles, _FOLDER / "retrieval.log") as retrieval,
        proxy([retrieval.address], _FOLDER, faults=_FAULTS) as between,
        Service.start(
            "ranking_service", [*bundles, "--retrieval", f"dns:///{between}"], _FOLDER / "ranking.log"
        ) as ranking,
    ):
        yield {"retrieval": retrieval, "ranking": ranking}


def _soak(
    services: Mapping[str, Service], root: Path, bundle: Path, seconds: float
) -> tuple[list[float], int, dict[str, list[ProcessState]]]:
    swaps, samples = list[float](), {name: list[ProcessState]() for name in services}
    next_swap, numbers, crashes = time.time() + _SWAP_SECONDS, itertools.count(1), 0
    with _client(services, "calls"):
        for _ in track(range(int(seconds / _CRASH_SECONDS)), description="soaking"):
            with _client(services, "crashing") as crashing:
                time.sleep(_CRASH_SECONDS / 2)
                crashing.kill()
                crashes += 1
            if time.time() >= next_swap:
                publish(root, add_version(root, bundle, next(numbers)))
                swaps.append(time.time())
                next_swap += _SWAP_SECONDS
                _forget_old(root)
            time.sleep(_CRASH_SECONDS / 2)
            for name, service in services.items():
                samples[name].append(process_state(service.process.pid))
    return swaps, crashes, samples


@contextlib.contextmanager
def _client(services: Mapping[str, Service], name: str) -> Iterator[subprocess.Popen[str]]:
    addresses = [f"dns:///{services[service].address}" for service in ("ranking", "retrieval")]
    command = [sys.executable, "-m", "bench.serving.soak_client", *addresses, str(_FOLDER / f"{name}.npy")]
    with (_FOLDER / f"{name}.log").open("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    with process.stdout as output:
        assert output.readline() == "calling\n"
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)


def _forget_old(root: Path) -> None:
    for directory in sorted(path for path in root.iterdir() if path.is_dir())[:-3]:
        shutil.rmtree(directory)


def _summary(
    calls: np.ndarray[Any, Any], swaps: list[float], crashes: int, samples: Mapping[str, list[ProcessState]]
) -> dict[str, Any]:
    ended, milliseconds, ends = calls.T
    swapping = np.zeros(len(calls), dtype=bool)
    for swap in swaps:
        swapping |= (ended >= swap) & (ended < swap + _RIPPLE_SECONDS)
    growth = {name: _growth(of_one) for name, of_one in samples.items()}
    failed = int((ends == FAILED).sum())
    grew = [
        f"{name} {kind}"
        for name, of_one in growth.items()
        for kind in ("anonymous_mb", "resident_mb", "descriptors")
        if of_one[f"{kind}_end"] > _MOST_GROWTH * of_one[f"{kind}_start"]
    ]
    grew += [f"{name} threads" for name, of_one in growth.items() if of_one["threads_end"] > _MOST_THREADS]
    return {
        "machine": machine(),
        "passed": not failed and not grew,
        "calls": len(calls),
        "failed": failed,
        "ends": {name: int((ends == place).sum()) for place, name in enumerate(ENDS)},
        "degraded_share": float((ends == DEGRADED).mean()),
        "p50_ms": float(np.median(milliseconds)),
        "p99_ms": float(np.percentile(milliseconds, 99)),
        "p99_ms_during_swaps": float(np.percentile(milliseconds[swapping], 99)) if swapping.any() else None,
        "p99_ms_between_swaps": float(np.percentile(milliseconds[~swapping], 99)),
        "swaps": len(swaps),
        "clients_killed": crashes,
        "grew": grew,
        **growth,
    }


def _growth(samples: list[ProcessState]) -> dict[str, Any]:
    """Medians over the first and the last minute of the steady part."""
    settled = [sample for sample in samples if sample.time >= samples[0].time + _SETTLED_SECONDS] or samples
    start, end = settled[:6], settled[-6:]
    kinds = ("anonymous_mb", "resident_mb", "threads", "descriptors")
    medians = {
        kind: [float(np.median([getattr(sample, kind) for sample in part])) for part in (start, end)] for kind in kinds
    }
    return {
        **{f"{kind}_start": first for kind, (first, _) in medians.items()},
        **{f"{kind}_end": last for kind, (_, last) in medians.items()},
        "rss_start": medians["resident_mb"][0],
        "rss_end": medians["resident_mb"][1],
        "anonymous_mb": [round(sample.anonymous_mb) for sample in samples],
    }


if __name__ == "__main__":
    main()
