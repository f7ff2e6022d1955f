"""``python -m bench.serving.compare OTHER``: both services of this checkout beside those of another one.

OTHER is another checkout of this repository, such as one that ``git worktree add --detach ../base COMMIT`` makes. Each
checkout builds the planted bundle with its own code, from the same seed, and serves it with its own code. The rounds
alternate between the two (A B, B A, A B ...), so that noise and drift hit both alike. Writes
``build/bench/compare.json``. For each number of calls in flight, prints the median CPU time of a request and the median
p50. Beside them is the ratio of this checkout to the other, with the 95 % interval of its median over the rounds.
"""

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import grpc
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.harness.load import Generators, Target, generators
from bench.harness.machine import machine
from bench.harness.planted import BUILD
from bench.harness.processes import pin, write_json
from bench.harness.requests import recommend_requests
from shortlist.bundle import Bundle
from shortlist.ranking.v1.ranking_service_pb2 import RecommendResponse
from testbed.services import start_both

_METHOD = "/shortlist.ranking.v1.RankingService/Recommend"
_HERE, _OTHER = _NAMES = ("this", "other")
_FOLDER = BUILD / "compare"
_WARM_SECONDS = 2.0
_COMPARED = 100
_CALL_SECONDS = 30.0
_RESAMPLES = 10_000
# The module that builds the planted bundle and prints its directory, by checkouts' ages.
_BUILDERS = ("bench/harness/planted.py", "bench/planted.py")
_UNITS = {"cpu_us": ("CPU µs", 0), "p50_ms": ("p50 ms", 2)}
Figures = dict[str, float]
Rounds = Mapping[tuple[int, str], list[Figures]]


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m bench.serving.compare", description=__doc__)
    parser.add_argument("other", type=Path, help="the folder of the other checkout")
    parser.add_argument("--rounds", type=int, default=10, help="number of rounds (default: 10)")
    parser.add_argument("--seconds", type=float, default=3.0, help="seconds of each load (default: 3)")
    parser.add_argument("--in-flight", type=int, nargs="+", default=[1, 16], help="open calls (default: 1 16)")
    options = parser.parse_args()
    if not (options.other / "retrieval_service").is_dir():
        parser.error(f"{options.other} is no checkout of this repository")
    bundles = {_HERE: _planted(Path.cwd()), _OTHER: _planted(options.other.resolve())}
    with _both(bundles, options.other.resolve()) as (targets, loaded):
        same = _same_lists(targets)
        rounds = _measure(loaded, options.in_flight, options.rounds, options.seconds)
    result = {"machine": machine(), "same_lists": same, "compared_lists": _COMPARED, "in_flight": summary(rounds)}
    write_json(BUILD / "compare.json", result)
    _print(result)


def _planted(checkout: Path) -> Path:
    """The directory of the planted bundle that a checkout builds, unless it has built it before."""
    path = next(path for path in _BUILDERS if (checkout / path).exists())
    command = [sys.executable, "-m", path.removesuffix(".py").replace("/", ".")]
    print(f"planted bundle of {checkout}", file=sys.stderr)
    variables = {**os.environ, "PYTHONPATH": str(checkout)}
    done = subprocess.run(command, cwd=checkout, env=variables, check=True, stdout=subprocess.PIPE, text=True)
    return checkout / done.stdout.splitlines()[-1]


@contextlib.contextmanager
def _both(bundles: Mapping[str, Path], other: Path) -> Iterator[tuple[Mapping[str, Target], Generators]]:
    # The same bytes for both: the seed determines the users' ids, and the fields kept their numbers.
    requests = recommend_requests(Bundle.open(bundles[_HERE]))
    targets = dict[str, Target]()
    with contextlib.ExitStack() as stack:
        for name, checkout in ((_HERE, None), (_OTHER, other)):
            logs = (_FOLDER / name).absolute()
            logs.mkdir(parents=True, exist_ok=True)
            running = stack.enter_context(start_both(bundles[name].parent, logs, checkout=checkout))
            pids = (running.retrieval.process.pid, running.ranking.process.pid)
            targets[name] = Target(address=running.ranking.address, method=_METHOD, pids=pids, requests=requests)
        loaded = stack.enter_context(generators(targets, _FOLDER))
        *others, last = sorted(os.sched_getaffinity(0))
        if others:
            pin([pid for target in targets.values() for pid in target.pids], set(others))
            pin(loaded.pids, {last})
        yield targets, loaded


def _same_lists(targets: Mapping[str, Target]) -> int:
    """How many of the first lists have the same items in the same order."""
    here, other = (_lists(targets[name]) for name in _NAMES)
    return sum(one == two for one, two in zip(here, other, strict=True))


def _lists(target: Target) -> list[list[str]]:
    with grpc.insecure_channel(target.address) as channel:
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(target.method)
        answers = [call(request, timeout=_CALL_SECONDS) for request in target.requests[:_COMPARED]]
    return [[item.item_id for item in RecommendResponse.FromString(answer).items] for answer in answers]


def _measure(loaded: Generators, in_flight: Sequence[int], rounds: int, seconds: float) -> Rounds:
    measured = defaultdict[tuple[int, str], list[Figures]](list)
    for calls in in_flight:
        for name in _NAMES:
            loaded.load(name, calls, _WARM_SECONDS)
    for number in track(range(rounds), "rounds", console=Console(stderr=True)):
        for calls in in_flight:
            for name in _NAMES if number % 2 == 0 else _NAMES[::-1]:
                load = loaded.load(name, calls, seconds)
                if load.failed:
                    raise SystemExit(f"{load.failed} of {load.calls} calls failed; see the logs in {_FOLDER / name}")
                measured[calls, name].append({"cpu_us": load.cpu_us, "p50_ms": load.p50_ms})
    return measured


def summary(rounds: Rounds) -> dict[str, dict[str, dict[str, float]]]:
    """For each number of calls in flight and each figure: both medians, the ratio of this to other, its interval."""
    return {
        str(calls): {
            key: _compared(*([one[key] for one in rounds[calls, name]] for name in _NAMES)) for key in figures[0]
        }
        for (calls, name), figures in rounds.items()
        if name == _HERE
    }


def _compared(here: list[float], other: list[float]) -> dict[str, float]:
    """Medians, and the median of the rounds' ratios with its 95 % bootstrap interval."""
    ratios = np.array(here) / np.array(other)
    resampled = np.random.default_rng(0).choice(ratios, (_RESAMPLES, len(ratios)))
    low, high = np.percentile(np.median(resampled, axis=1), (2.5, 97.5))
    return {
        _HERE: statistics.median(here),
        _OTHER: statistics.median(other),
        "ratio": float(np.median(ratios)),
        "ratio_low": float(low),
        "ratio_high": float(high),
    }


def _print(result: Mapping[str, object]) -> None:
    table = Table(title="this checkout beside the other")
    for column in ("in flight", "", "this", "other", "ratio", "95 %"):
        table.add_column(column, justify="left" if not column else "right")
    settings = result["in_flight"]
    assert isinstance(settings, dict)
    for calls, figures in settings.items():
        for key, one in figures.items():
            name, digits = _UNITS[key]
            medians = [f"{one[side]:.{digits}f}" for side in _NAMES]
            table.add_row(
                calls, name, *medians, f"{one['ratio']:.3f}", f"{one['ratio_low']:.3f}-{one['ratio_high']:.3f}"
            )
    console = Console()
    console.print(table)
    console.print(f"{result['same_lists']} of {result['compared_lists']} lists are the same")


if __name__ == "__main__":
    main()
