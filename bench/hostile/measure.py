"""``python -m bench.hostile``: ten minutes of mixed attacks on both services beside honest load at half of the peak.

Two instances of retrieval and one of ranking run with the production profile, and with ports for probes and metrics.
Attacks take turns, each on for a while and then off. The attacker runs at the lowest priority, because it shares the
processor with the services and the honest callers. Writes ``build/hostile.json`` and prints a verdict for each promise.
The exit code is 1 when one is broken.
"""

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench.harness.load import Target, generators
from bench.harness.machine import machine
from bench.harness.planted import BUILD
from bench.harness.process_state import ProcessState, median_state, process_state
from bench.harness.processes import LineProcess, write_json
from bench.hostile.attacker import ATTACKS
from bench.hostile.bundles import UNUSABLE, Versions
from bench.hostile.services import Setting, started, stopped
from bench.hostile.targets import RECOMMEND, Targets
from bench.hostile.verdicts import Attack, Recorded, Verdict, by_attack, outcomes, shown_ms, verdicts
from shortlist.bundle import Bundle
from shortlist.ranking.v1.ranking_service_pb2 import RecommendRequest
from shortlist.type.v1.user_pb2 import User

_FOLDER = BUILD / "hostile"
RESULT = BUILD.parent / "hostile.json"
_STOPPED, _BUNDLES = "stopped-retrieval", "unusable-bundles"
NAMES = (*ATTACKS, _STOPPED, _BUNDLES)
# Each attack is on for about so long, and then off for half of it.
_ON_SECONDS = 12.0
_OFF_SHARE = 0.5
_IN_FLIGHT, _PEAK_ROUNDS = 64, 3
# Swaps after which memory is steady: from the second on, two bundles are loaded.
_WARM_SWAPS = 4
_SWAP_PATIENCE_SECONDS = 90.0
# A process's memory moves by a tenth with its batches, so its state is the median over half a minute.
_STATES, _STATE_SECONDS = 60, 30.0
_LIMIT = 20


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m bench.hostile", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="minutes of attacks (default: 10)")
    parser.add_argument("--only", default="", help=f"comma-separated attacks of {', '.join(NAMES)} (default: all)")
    options = parser.parse_args()
    wanted = options.only.split(",") if options.only else NAMES
    if not options.minutes > 0:
        parser.error(f"--minutes is {options.minutes}; has to be above 0")
    if unknown := sorted({*wanted} - {*NAMES}):
        parser.error(f"--only names {', '.join(unknown)}; the attacks are {', '.join(NAMES)}")
    names = [name for name in NAMES if name in wanted]
    # PyTorch is loaded for this step only.
    from bench.harness.planted_bundle import planted_bundle

    print("the planted bundle is made first, unless it is there: that takes minutes", flush=True)
    result = measure(planted_bundle(), _FOLDER, names, options.minutes * 60)
    write_json(RESULT, result)
    _print(result)
    sys.exit(0 if result["passed"] else 1)


def measure(
    bundle: Path, folder: Path, names: Sequence[str], seconds: float, *, peak: float = 0.0, swaps: int = _WARM_SWAPS
) -> dict[str, Any]:
    """Attacks services that serve a bundle, for so many seconds in all; the result as it is written.

    The files of the run go to ``folder``. Without a ``peak``, in calls a second, it is measured first. So many
    ``swaps`` of the bundle come before.
    """
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "bundles").mkdir(parents=True)
    versions = Versions(folder / "bundles", bundle)
    versions.good()
    with started(versions.root, folder) as setting:
        targets = setting.targets(Bundle.open(bundle))
        peak = peak or _peak(targets, folder)
        _prepare(setting, versions, targets, swaps)
        run = _run(setting, targets, versions, names, seconds, peak / 2)
    found = verdicts(run)
    return {
        "machine": machine(),
        # The images name jemalloc there.
        "allocator": os.environ.get("LD_PRELOAD") or "glibc",
        "passed": all(verdict.holds for verdict in found),
        "seconds": seconds,
        "peak_rps": peak,
        "calls": len(run.calls),
        "outcomes": outcomes(run.calls),
        "p50_ms": float(np.median(run.calls[:, 1])),
        "p99_ms": float(np.percentile(run.calls[:, 1], 99)),
        "verdicts": [asdict(verdict) for verdict in found],
        "attacks": by_attack(run),
        "states": [{name: asdict(state) for name, state in seen.items()} for seen in run.states],
    }


def _peak(targets: Targets, folder: Path, seconds: float = 4.0) -> float:
    requests = [RecommendRequest(user=User(user_id=user), limit=_LIMIT).SerializeToString() for user in targets.users]
    target = Target(address=targets.ranking, method=RECOMMEND, pids=(), requests=requests)
    with generators({"recommend": target}, folder) as load:
        load.load("recommend", _IN_FLIGHT, seconds)
        return float(np.median([load.load("recommend", _IN_FLIGHT, seconds).rps for _ in range(_PEAK_ROUNDS)]))


def _prepare(setting: Setting, versions: Versions, targets: Targets, swaps: int) -> None:
    folder = versions.root.parent
    targets.write(folder / "targets.json")
    (folder / "users").write_text("\n".join(targets.users))
    for _ in range(swaps):
        setting.seconds_until_served(versions.good(), _SWAP_PATIENCE_SECONDS)


def _run(
    setting: Setting, targets: Targets, versions: Versions, names: Sequence[str], seconds: float, rate: float
) -> Recorded:
    folder, ports, calm = versions.root.parent, setting.ports(), min(_STATE_SECONDS, seconds / 10)
    client = ["bench.hostile.client", targets.ranking, str(folder / "users"), str(rate), str(folder / "calls.npy")]
    prober = ["bench.hostile.prober", str(folder / "checks.npy"), *(f"{name}={port}" for name, port in ports.items())]
    attacking = LineProcess("bench.hostile.attacker", str(folder / "targets.json"))
    with attacking as attacker, _recorder(client, folder), _recorder(prober, folder):
        attacks, states = list[Attack](), [_states(setting, calm)]
        for of_round in _rounds(setting, versions, attacker, names, seconds):
            attacks += of_round
            states.append(_states(setting, calm))
    codes = {name: one.service.process.poll() for name, one in setting.instances.items()}
    return Recorded(
        calls=np.load(folder / "calls.npy"),
        checks=np.load(folder / "checks.npy"),
        ports=list(ports),
        attacks=attacks,
        states=states,
        exits={name: code for name, code in codes.items() if code is not None},
    )


@contextlib.contextmanager
def _recorder(command: Sequence[str], folder: Path) -> Iterator[None]:
    """Runs a process that records until SIGTERM, and then writes its file."""
    with (folder / f"{command[0]}.log").open("w") as log:
        process = subprocess.Popen([sys.executable, "-m", *command], stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    with process.stdout as output:
        assert output.readline()
        try:
            yield
        finally:
            process.terminate()
            process.wait(60)


def _rounds(
    setting: Setting, versions: Versions, attacker: LineProcess, names: Sequence[str], seconds: float
) -> Iterator[list[Attack]]:
    """Carries out every attack in turn, as often as there is time for, and yields each round once it is over."""
    rounds = max(1, round(seconds / (len(names) * _ON_SECONDS * (1 + _OFF_SHARE))))
    each = seconds / (rounds * len(names) * (1 + _OFF_SHARE))
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=rounds * len(names))
        for turn in range(rounds):
            attacks = list[Attack]()
            for name in names:
                progress.update(task, description=f"round {turn + 1} of {rounds}: {name:<20}")
                begin = time.time()
                counts = _attack(setting, versions, attacker, name, each)
                silenced = _silenced(setting) if name == _STOPPED else ""
                attacks.append(Attack(name=name, begin=begin, end=time.time(), counts=counts, silenced=silenced))
                progress.advance(task)
                time.sleep(each * _OFF_SHARE)
            yield attacks


def _attack(
    setting: Setting, versions: Versions, attacker: LineProcess, name: str, seconds: float
) -> Mapping[str, int]:
    if name == _STOPPED:
        with stopped(setting.instances[_silenced(setting)]):
            time.sleep(seconds)
        return {}
    if name == _BUNDLES:
        return _publish_unusable(setting, versions, seconds)
    attacker.send(f"{name} {seconds}")
    counts: Mapping[str, int] = attacker.answer()
    return counts


def _silenced(setting: Setting) -> str:
    return list(setting.instances)[1]


def _publish_unusable(setting: Setting, versions: Versions, seconds: float) -> Mapping[str, int]:
    for damage in UNUSABLE.values():
        versions.unusable(damage)
        time.sleep(seconds / len(UNUSABLE))
    waited = setting.seconds_until_served(versions.good(), _SWAP_PATIENCE_SECONDS)
    return {"unusable": len(UNUSABLE), "not taken": int(waited is None), "seconds until taken": round(waited or 0)}


def _states(setting: Setting, seconds: float) -> dict[str, ProcessState]:
    """The median state of each process that lives, over some seconds after a pause: memory follows the load late."""
    time.sleep(seconds)
    states: dict[str, list[ProcessState]] = {name: [] for name in setting.instances}
    for _ in range(_STATES):
        for name, one in setting.instances.items():
            if one.service.process.poll() is None:
                states[name].append(process_state(one.service.process.pid))
        time.sleep(seconds / _STATES)
    return {name: median_state(seen) for name, seen in states.items() if seen}


def _print(result: Mapping[str, Any]) -> None:
    # In a file, a table of the usual width of a terminal would cut every name.
    console = Console(width=None if sys.stdout.isatty() else 150)
    title = f"{result['calls']} honest calls, half of {result['peak_rps']:.0f} a second"
    columns = ("attack", "times", "calls", "lost", "degraded", "p50 ms", "p99 ms", "health ms", "counts")
    table = Table(*columns, title=title)
    for row in result["attacks"]:
        counts = ", ".join(f"{value} {kind}" for kind, value in row["counts"].items())
        figures = (row["times"], row["calls"], row["lost"], row["degraded"])
        times = (row["p50_ms"], row["p99_ms"])
        table.add_row(
            row["attack"], *map(str, figures), *(f"{value:.1f}" for value in times), shown_ms(row["health_ms"]), counts
        )
    console.print(table)
    table = Table("promise", "figure", "")
    for verdict in (Verdict(**one) for one in result["verdicts"]):
        table.add_row(verdict.promise, verdict.figure, "holds" if verdict.holds else "[red]BROKEN[/red]")
    console.print(table)
