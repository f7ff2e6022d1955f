"""``python -m bench.serving``: the cost of two gRPC hops beside a bare loop over the same models.

Every figure is a median over rounds. Each round goes through all settings in turn, so that noise hits all alike. The
load generators run on the last core alone, the servers on the others. Writes ``build/bench/serving.json`` and prints a
table.
"""

import argparse
import contextlib
import os
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping

from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.harness import requests
from bench.harness.empty import METHOD as EMPTY
from bench.harness.load import Generators, Target, generators
from bench.harness.machine import machine
from bench.harness.planted import BUILD, BUNDLES
from bench.harness.planted_bundle import planted_bundle
from bench.harness.processes import LineProcess, pin, write_json
from shortlist.bundle import Bundle
from shortlist.serving.settings import ServerSettings
from testbed.services import Running, start_both

IN_FLIGHT = (1, 4, 16, 64)
_WARM_SECONDS = 1.0
_LIMITS = ("encoder", "vector")
Figures = dict[str, float]
Name = tuple[str, int]


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m bench.serving", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="number of rounds (default: 5)")
    parser.add_argument("--seconds", type=float, default=3.0, help="seconds of each load (default: 3)")
    parser.add_argument("--only", default="", help="comma-separated targets, such as recommend,empty (default: all)")
    options = parser.parse_args()
    with _everything() as (loaded, limit):
        names = [name for name in loaded.names if name in options.only.split(",") or not options.only]
        rounds = _measure(loaded, limit, names, options.rounds, options.seconds)
    result = _summary(rounds)
    write_json(BUILD / "serving.json", result)
    _print(result)


@contextlib.contextmanager
def _everything() -> Iterator[tuple[Generators, LineProcess]]:
    bundle = Bundle.open(planted_bundle())
    with (
        start_both(BUNDLES, BUILD) as running,
        LineProcess("bench.harness.empty", str(ServerSettings.threads)) as empty,
        LineProcess("bench.serving.limit", str(BUNDLES)) as limit,
        generators(_targets(bundle, running, empty), BUILD) as loaded,
    ):
        _part(loaded, [running.retrieval.process.pid, running.ranking.process.pid, empty.pid, limit.pid])
        yield loaded, limit


def _part(loaded: Generators, servers: list[int]) -> None:
    *others, last = sorted(os.sched_getaffinity(0))
    if others:
        pin(servers, set(others))
        pin(loaded.pids, {last})


def _targets(bundle: Bundle, running: Running, empty: LineProcess) -> Mapping[str, Target]:
    ranking, retrieval = running.ranking, running.retrieval
    both = (retrieval.process.pid, ranking.process.pid)
    service = "/shortlist.ranking.v1.RankingService"
    recommend = requests.recommend_requests(bundle)
    return {
        "empty": Target(address=empty.line(), method=EMPTY, pids=(empty.pid,), requests=[b""]),
        "recommend": Target(address=ranking.address, method=f"{service}/Recommend", pids=both, requests=recommend),
        "newcomer": Target(
            address=ranking.address,
            method=f"{service}/Recommend",
            pids=both,
            requests=requests.newcomer_requests(bundle),
        ),
        "retrieve": Target(
            address=retrieval.address,
            method="/shortlist.retrieval.v1.RetrievalService/Retrieve",
            pids=both[:1],
            requests=requests.retrieve_requests(bundle),
        ),
        "rank": Target(
            address=ranking.address, method=f"{service}/Rank", pids=both[1:], requests=requests.rank_requests(bundle)
        ),
    }


def _measure(
    loaded: Generators, limit: LineProcess, names: list[str], rounds: int, seconds: float
) -> Mapping[Name, list[Figures]]:
    measured = defaultdict[Name, list[Figures]](list)
    settings = [(name, in_flight) for name in names for in_flight in IN_FLIGHT]
    for name, in_flight in settings:
        loaded.load(name, in_flight, _WARM_SECONDS)
    for _ in track(range(rounds), "rounds", console=Console(stderr=True)):
        for name in _LIMITS:
            limit.send(f"{name} {seconds}")
            measured[f"limit_{name}", 1].append(limit.answer())
        for name, in_flight in settings:
            load = loaded.load(name, in_flight, seconds)
            if load.failed:
                raise SystemExit(f"{load.failed} of {load.calls} calls of {name} failed; see the logs in {BUILD}")
            measured[name, in_flight].append(
                {"cpu_us": load.cpu_us, "rps": load.rps, "p50_ms": load.p50_ms, "p99_ms": load.p99_ms}
            )
    return measured


def _summary(rounds: Mapping[Name, list[Figures]]) -> dict[str, object]:
    median = {name: _medians(figures) for name, figures in rounds.items()}
    limit, empty = median["limit_encoder", 1], median["empty", 16]
    service = {in_flight: median["recommend", in_flight] for in_flight in IN_FLIGHT}
    overhead = {
        in_flight: (service[in_flight]["cpu_us"] - limit["cpu_us"]) / empty["cpu_us"] for in_flight in IN_FLIGHT
    }
    lone = (service[1]["p50_ms"] - limit["p50_ms"]) / median["empty", 1]["p50_ms"]
    others = sorted({name for name, _ in rounds} - {"limit_encoder", "limit_vector", "empty", "recommend"})
    return {
        "machine": machine(),
        "limit": limit,
        "limit_vector": median["limit_vector", 1],
        "empty": {**empty, "p50_ms": median["empty", 1]["p50_ms"]},
        "service": {str(in_flight): figures for in_flight, figures in service.items()},
        "overhead_16": overhead[16],
        "overhead": {str(in_flight): value for in_flight, value in overhead.items()},
        "lone_p50_in_empty_calls": lone,
        **{name: {str(in_flight): median[name, in_flight] for in_flight in IN_FLIGHT} for name in others},
    }


def _medians(figures: list[Figures]) -> Figures:
    """The median of each figure, and half the interquartile range of the CPU time."""
    medians = {key: statistics.median(one[key] for one in figures) for key in figures[0]}
    times = [one["cpu_us"] for one in figures]
    if len(times) > 1:
        low, _, high = statistics.quantiles(times, n=4)
        medians["cpu_us_spread"] = (high - low) / 2
    return medians


def _print(result: Mapping[str, object]) -> None:
    table = Table(title="server CPU of a request")
    for column in ("", "in flight", "CPU µs", "±", "requests/s", "p50 ms", "p99 ms"):
        table.add_column(column, justify="right" if column else "left")
    for name, figures in result.items():
        if isinstance(figures, dict) and "cpu_us" in figures:
            _add(table, name, "1" if "limit" in name else "16", figures)
        elif isinstance(figures, dict) and "1" in figures and isinstance(figures["1"], dict):
            for in_flight, of_one in figures.items():
                _add(table, name, in_flight, of_one)
    console = Console()
    console.print(table)
    console.print(f"(service - limit) / empty, in flight: {result['overhead']}")
    console.print(f"one in flight: p50 is limit + {result['lone_p50_in_empty_calls']:.2f} empty calls")


def _add(table: Table, name: str, in_flight: str, figures: Figures) -> None:
    cells = [f"{figures.get(key, float('nan')):.{digits}f}" for key, digits in _CELLS]
    table.add_row(name, in_flight, *cells)


_CELLS = (("cpu_us", 0), ("cpu_us_spread", 0), ("rps", 0), ("p50_ms", 2), ("p99_ms", 2))
