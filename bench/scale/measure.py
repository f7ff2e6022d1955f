"""``python -m bench.scale``: the same system with ten thousand to ten million items.

For each size: build time, recall and search time of the index, latency of ``Recommend``, and memory. The models are
those of the planted bundle, whose graphs hold no item table. Writes ``build/bench/scale.json``.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from bench.harness.load import Load, Target, generators
from bench.harness.machine import machine
from bench.harness.planted import BUILD, CANDIDATES, DIMENSION, Planted
from bench.harness.planted_bundle import planted_bundle
from bench.harness.processes import write_json
from bench.scale.bundle import user_vectors, write_bundle
from shortlist.bundle import BundleStore
from shortlist.bundle.index_info import IndexInfo
from shortlist.ranking.v1.ranking_service_pb2 import RecommendRequest
from shortlist.type.v1.user_pb2 import User
from testbed.services import Running, start_both

SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
USERS = 1000
_RECALL = 0.95
_SECONDS = 5.0


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of items (default: 10^4 to 10^7)")
    options = parser.parse_args()
    path = BUILD / "scale.json"
    result = json.loads(path.read_text()) if path.exists() else {}
    result["machine"] = machine()
    for items in options.sizes:
        print(f"{items:,} items", flush=True)
        result[str(items)] = _measure(items)
        write_json(path, result)
        print(json.dumps({key: value for key, value in result[str(items)].items() if key != "trials"}), flush=True)


def _measure(items: int) -> dict[str, object]:
    folder = BUILD / "scale"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        planted = Planted.of(items)
        vectors = folder / "vectors.npy"
        _write_vectors(planted, vectors)
        index, build_seconds, build_mb = _build_index(planted, vectors, folder)
        write_bundle(BundleStore(folder / "bundles"), planted_bundle(), planted, vectors, folder / "index.faiss", index)
        load, seconds, serving_mb = _serve(folder)
        chosen = next(
            trial for trial in index.trials if (trial.spec, trial.parameters) == (index.spec, index.parameters)
        )
        return {
            "index": index.spec,
            "parameters": index.parameters,
            "recall": index.recall,
            "search_us": chosen.search_us,
            "bytes_per_vector": chosen.bytes_per_vector,
            "build_seconds": chosen.build_seconds,
            "choose_seconds": build_seconds,
            "build_peak_mb": build_mb,
            "recommend_p50_ms": load.p50_ms,
            "start_seconds": seconds,
            "serving_rss_mb": serving_mb,
            "trials": [vars(trial) for trial in index.trials],
        }
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write_vectors(planted: Planted, path: Path) -> None:
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(planted.items, DIMENSION))
    start = 0
    for chunk in planted.vectors():
        array[start : start + len(chunk)] = chunk
        start += len(chunk)
    array.flush()


def _build_index(planted: Planted, vectors: Path, folder: Path) -> tuple[IndexInfo, float, float]:
    """The index that the trainer's own process chose, its seconds, and its peak resident set in MB."""
    queries, task, output = folder / "queries.npy", folder / "task.json", folder / "index.json"
    np.save(queries, user_vectors(planted_bundle(), planted.histories(USERS)[:500], np.load(vectors, mmap_mode="r")))
    given = {"vectors": str(vectors), "queries": str(queries), "index": str(folder / "index.faiss")}
    task.write_text(json.dumps({**given, "count": CANDIDATES, "recall": _RECALL, "spec": None, "parameters": None}))
    started = time.monotonic()
    with output.open("w") as stdout:
        process = subprocess.Popen([sys.executable, "-m", "trainer.export.index.process", str(task)], stdout=stdout)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"the index could not be built, exit code {process.returncode}")
    info = IndexInfo.from_json(json.loads(output.read_text()))
    return info, time.monotonic() - started, usage.ru_maxrss / 1024


def _serve(folder: Path) -> tuple[Load, float, float]:
    """The load with one open call, the seconds until both serve, and their resident set in MB with mapped files."""
    started = time.monotonic()
    with start_both(folder / "bundles", folder) as running:
        seconds = time.monotonic() - started
        pids = (running.retrieval.process.pid, running.ranking.process.pid)
        with generators({"recommend": _target(running, pids)}, folder) as loaded:
            loaded.load("recommend", 1, 1.0)
            load = loaded.load("recommend", 1, _SECONDS)
            return load, seconds, sum(_resident_mb(pid) for pid in pids)


def _target(running: Running, pids: tuple[int, ...]) -> Target:
    requests = [RecommendRequest(user=User(user_id=f"u{user:06}"), limit=20) for user in range(USERS)]
    return Target(
        address=running.ranking.address,
        method="/shortlist.ranking.v1.RankingService/Recommend",
        pids=pids,
        requests=[request.SerializeToString() for request in requests],
    )


def _resident_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024
