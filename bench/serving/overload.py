"""``python -m bench.serving.overload``: both services under four times the calls that they can answer.

The peak is the rate with 64 callers that wait for their answers. Multiples of it are then sent without waiting. The
generators run on the last core alone. Writes ``build/bench/overload.json`` and prints a table.
"""

import argparse
import contextlib
import json
import os
import statistics
from collections.abc import Iterator
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.harness.load import Target, generators
from bench.harness.machine import machine
from bench.harness.planted import BUILD, BUNDLES
from bench.harness.planted_bundle import planted_bundle
from bench.harness.processes import LineProcess, pin, write_json
from bench.harness.requests import recommend_requests
from shortlist.bundle import Bundle
from testbed.services import Running, start_both

_METHOD = "/shortlist.ranking.v1.RankingService/Recommend"
_TIMES = (0.5, 1.0, 2.0, 4.0)
_FLOODS = 2
_IN_FLIGHT = 64
_ROUNDS = 3


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m bench.serving.overload", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="seconds of each load (default: 5)")
    seconds = parser.parse_args().seconds
    bundle = Bundle.open(planted_bundle())
    with start_both(BUNDLES, BUILD) as running, _load(running, recommend_requests(bundle)) as (closed, floods):
        closed.load("recommend", _IN_FLIGHT, seconds)
        rounds = track(range(_ROUNDS), "peak", console=Console(stderr=True))
        peak = statistics.median(closed.load("recommend", _IN_FLIGHT, seconds).rps for _ in rounds)
        times = track(_TIMES, "overload", console=Console(stderr=True))
        loads = {str(one): _flood(floods, peak * one, seconds) for one in times}
    result = {"machine": machine(), "peak_rps": peak, "times": loads}
    write_json(BUILD / "overload.json", result)
    _print(peak, loads)


@contextlib.contextmanager
def _load(running: Running, requests: list[bytes]) -> Iterator[tuple[Any, list[LineProcess]]]:
    pids = (running.retrieval.process.pid, running.ranking.process.pid)
    target = Target(address=running.ranking.address, method=_METHOD, pids=pids, requests=requests)
    with generators({"recommend": target}, BUILD) as closed, contextlib.ExitStack() as stack:
        arguments = ("bench.harness.flood", running.ranking.address, _METHOD, str(BUILD / "recommend.requests"))
        floods = [stack.enter_context(LineProcess(*arguments)) for _ in range(_FLOODS)]
        *others, last = sorted(os.sched_getaffinity(0))
        if others:
            pin(pids, set(others))
            pin([*closed.pids, *(flood.pid for flood in floods)], {last})
        yield closed, floods


def _flood(floods: list[LineProcess], rate: float, seconds: float) -> dict[str, float]:
    for flood in floods:
        flood.send(f"{rate / len(floods)} {seconds}")
    answers = [json.loads(flood.line()) for flood in floods]
    ended: dict[str, list[float]] = {}
    for answer in answers:
        for code, milliseconds in answer["ended"].items():
            ended.setdefault(code, []).extend(milliseconds)
    good, refused = np.array(ended.pop("OK", [0.0])), np.array(ended.pop("RESOURCE_EXHAUSTED", []))
    return {
        "sent_rps": sum(answer["sent"] for answer in answers) / seconds,
        "good_rps": len(good) / seconds,
        "good_p50_ms": float(np.median(good)),
        "good_p99_ms": float(np.percentile(good, 99)),
        "refused_rps": len(refused) / seconds,
        "refused_p50_ms": float(np.median(refused)) if len(refused) else 0.0,
        "refused_p99_ms": float(np.percentile(refused, 99)) if len(refused) else 0.0,
        "other": float(sum(map(len, ended.values()))),
    }


def _print(peak: float, loads: dict[str, dict[str, float]]) -> None:
    table = Table(
        "times the peak", *next(iter(loads.values())), title=f"overload; the peak is {peak:.0f} calls a second"
    )
    for times, load in loads.items():
        table.add_row(times, *(f"{value:.1f}" for value in load.values()))
    Console().print(table)


if __name__ == "__main__":
    main()
