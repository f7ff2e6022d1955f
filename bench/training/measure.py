"""``python -m bench.training``: speed and memory of training, and the catalogue size that favours a sampled softmax.

The data are planted: a log of MovieLens-1M's size, and slices of 10^8 events streamed from Parquet. Others have
histories of a shop's length and longer ones, for rankers of short and long lists. The formulas in the output
extrapolate from the slices to the whole. Every measurement is a process of its own. Writes ``build/bench/train.json``
and prints tables.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track

from bench.harness.machine import machine
from bench.harness.planted import BUILD
from bench.harness.processes import write_json
from bench.training.data import ENCODER, RECIPE, Log
from bench.training.report import crossing, extrapolated, print_report
from bench.training.run import Run

ML_1M = Log(users=6_000, events=165, items=3_700)
LARGE = Log(users=1_000_000, events=100, items=100_000)
SLICES = (40, 20, 10)
# The ranker's speed depends on the catalogue, not on the number of events.
_RANKER_SLICE = 200
# Mean lengths of histories in a shop's log, and in longer ones.
_LENGTHS = (6, 20, 165)
_BY_LENGTH = Log(users=200_000, events=1, items=50_000)
# Candidates of a list, and events of a history, that the ranker reads.
_LISTS = ((50, 50), (200, 10), (200, 50), (500, 50))
_CATALOGUES = (1_000, 3_700, 10_000, 30_000, 100_000)
_SOFTMAX_USERS = 500
_WIDTH = 120


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m bench.training", description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0, help="seconds of training of each stage (default: 8)")
    options = parser.parse_args()
    runs = _runs(options.seconds)
    measured = {name: _measure(*runs[name]) for name in track(runs, "measuring", console=Console(stderr=True))}
    softmax = {
        size: {kind: measured.pop(f"{kind} {size}")["encoder"] for kind in ("full", "sampled")} for size in _CATALOGUES
    }
    slices = [measured[f"1/{part}"] for part in SLICES]
    result = {
        "machine": machine(),
        "threads": torch.get_num_threads(),
        "recipe": asdict(RECIPE),
        "ml_1m": {**asdict(ML_1M), **measured["ml-1m"]},
        "large": {
            **asdict(LARGE),
            "slices": slices,
            "ranker_slice": measured["ranker"],
            "extrapolated": extrapolated(slices, LARGE.users * LARGE.events),
        },
        "by_length": {length: {**measured[f"length {length}"], "items": _BY_LENGTH.items} for length in _LENGTHS},
        "by_lists": [
            {"lists": candidates, "history": history, "stages": measured[f"lists {candidates} {history}"]}
            for candidates, history in _LISTS
        ],
        "softmax": {"by_items": softmax, "limit": ENCODER.softmax_limit, **crossing(softmax)},
    }
    write_json(BUILD / "train.json", result)
    print_report(result, Console(width=_WIDTH))


def _runs(seconds: float) -> dict[str, tuple[Log, Run]]:
    """All measurements by name; each folder of data is made just before its measurement."""
    run = Run(folder="", seconds=seconds)
    alone = replace(run, ranker=False)
    runs = {"ml-1m": (ML_1M, run)}
    runs |= {f"1/{part}": (replace(LARGE, users=LARGE.users // part), alone) for part in SLICES}
    runs["ranker"] = (replace(LARGE, users=LARGE.users // _RANKER_SLICE), run)
    for length in _LENGTHS:
        log = replace(_BY_LENGTH, users=_BY_LENGTH.users // length, events=length)
        runs[f"length {length}"] = (log, alone)
    for candidates, history in _LISTS:
        log = replace(_BY_LENGTH, users=_BY_LENGTH.users // _LENGTHS[-1], events=_LENGTHS[-1])
        runs[f"lists {candidates} {history}"] = (log, replace(run, candidates=candidates, history=history))
    for size in _CATALOGUES:
        log = Log(users=_SOFTMAX_USERS, events=ML_1M.events, items=size)
        short = replace(alone, seconds=seconds / 4)
        runs[f"full {size}"] = (log, replace(short, softmax_limit=size))
        runs[f"sampled {size}"] = (log, replace(short, softmax_limit=0))
    return runs


def _measure(log: Log, run: Run) -> dict[str, Any]:
    BUILD.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD) as scratch:
        run = replace(run, folder=str(Path(scratch) / "data"))
        _child(replace(run, log=log))
        figures: dict[str, Any] = json.loads(_child(run).splitlines()[-1])
        return figures


def _child(run: Run) -> str:
    command = [sys.executable, "-m", "bench.training.run", json.dumps(asdict(run))]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
