"""``python -m bench.live``: acknowledgements, intake, the next answer, kills, items, and what all that costs.

Starts the services over the planted bundle, and a live service over a new file. Writes ``build/bench/live.json``, and
prints a table with the asked figures beside the measured ones. The cost of live histories compares two ranking services
over one retrieval service, in alternating rounds; half of the users have three recorded events. The next answers come
from four workers, while bundles swap. ``bench.live.stores`` compares SQLite with PostgreSQL.
"""

import argparse
import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
from rich.console import Console
from rich.table import Table

from bench.harness.load import Target
from bench.harness.machine import machine
from bench.harness.planted import BUILD
from bench.harness.planted_bundle import planted_bundle
from bench.harness.processes import write_json
from bench.harness.requests import recommend_requests, user_ids
from bench.live.comparison import compared
from bench.live.events import Figures, event, record
from bench.live.items import item_figures, item_rows
from bench.live.kills import killed
from bench.live.next_answers import next_answers
from bench.live.recording import acknowledgements, intake
from shortlist.bundle import Bundle
from shortlist.live.v1.event_service_pb2_grpc import EventServiceStub
from testbed.services import Service, start_both

_FOLDER = BUILD / "live"
_METHOD = "/shortlist.ranking.v1.RankingService/Recommend"


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m bench.live", description=__doc__)
    parser.add_argument(
        "--answers", type=int, default=10_000, help="events whose next answer is read (default: 10,000)"
    )
    parser.add_argument("--kills", type=int, default=50, help="kills of the live service (default: 50)")
    parser.add_argument("--changes", type=int, default=500, help="items hidden, and put, and waited for (default: 500)")
    parser.add_argument("--rounds", type=int, default=8, help="rounds of the comparison (default: 8)")
    parser.add_argument("--seconds", type=float, default=3.0, help="seconds of each load (default: 3)")
    options = parser.parse_args()
    shutil.rmtree(_FOLDER, ignore_errors=True)
    _FOLDER.mkdir(parents=True)
    bundle = planted_bundle()
    with _services(bundle) as (live, targets):
        figures = acknowledgements(live) | intake(live, options.seconds)
        figures |= _cost(live, targets, options.rounds, options.seconds)
    figures |= next_answers(bundle, _FOLDER, options.answers)
    figures |= killed(str(_FOLDER / "killed.sqlite"), options.kills, _FOLDER / "killed.log")
    figures |= item_figures(_FOLDER, options.changes, options.rounds, options.seconds)
    write_json(BUILD / "live.json", {"machine": machine(), **figures})
    _print(figures)


@contextlib.contextmanager
def _services(bundle: Path) -> Iterator[tuple[EventServiceStub, dict[str, Target]]]:
    requests = recommend_requests(Bundle.open(bundle))
    arguments = ["--store", str(_FOLDER / "events.sqlite")]
    with (
        Service.start("live_service", arguments, _FOLDER / "live.log") as live,
        start_both(bundle.parent, _FOLDER) as frozen,
        Service.start(
            "ranking_service",
            ["--bundles", str(bundle.parent), "--retrieval", frozen.retrieval.address, "--live", live.address],
            _FOLDER / "ranking_live.log",
        ) as ranking,
        grpc.insecure_channel(live.address) as to_live,
    ):
        retrieval = frozen.retrieval.process.pid
        pids = {
            "live": (retrieval, ranking.process.pid, live.process.pid),
            "frozen": (retrieval, frozen.ranking.process.pid),
        }
        addresses = {"live": ranking.address, "frozen": frozen.ranking.address}
        targets = {
            name: Target(address=addresses[name], method=_METHOD, pids=pids[name], requests=requests) for name in pids
        }
        yield EventServiceStub(to_live), targets


def _cost(live: EventServiceStub, targets: dict[str, Target], rounds: int, seconds: float) -> Figures:
    bundle = Bundle.open(planted_bundle())
    users = user_ids(bundle)
    items = bundle.items.ids_of(bundle.items.popular[:3].astype(np.int64))
    for user in users[::2]:
        record(live, [event(f"{user}-{item}", user, item) for item in items])
    return compared(targets, _FOLDER, rounds, seconds, "rounds")


def _print(figures: Figures) -> None:
    table = Table(title="live")
    for column in ("", "asked", "measured"):
        table.add_column(column, justify="left" if not column else "right")
    for name, asked, value in _rows(figures):
        table.add_row(name, asked, value)
    Console().print(table)


def _rows(figures: Figures) -> list[tuple[str, str, str]]:
    return [
        (
            f"next answers that know the event, over {figures['next_answers_bundles']:.0f} bundles",
            "all",
            f"{figures['next_answers_that_know']:,.0f} of {figures['next_answers']:,.0f}"
            f", {figures['next_answers_that_say_they_may_not']:,.0f} degraded",
        ),
        ("acknowledgement p50, p99, ms", "2, 20", f"{figures['ack_p50_ms']:.2f}, {figures['ack_p99_ms']:.2f}"),
        ("events a second, in batches of 500", "10,000", f"{figures['intake_events_per_second']:,.0f}"),
        (
            "more p50 of Recommend alone, ms",
            "0.6",
            f"{figures['live_p50_ms_at_1'] - figures['frozen_p50_ms_at_1']:.2f}",
        ),
        (
            "more CPU of Recommend at 16 in flight, µs",
            "80",
            f"{figures['live_cpu_us_at_16'] - figures['frozen_cpu_us_at_16']:.0f}",
        ),
        (
            f"missing, double of {figures['acknowledged']:,.0f} after {figures['kills']:.0f} kills",
            "0, 0",
            f"{figures['missing']:.0f}, {figures['double']:.0f}",
        ),
        *item_rows(figures),
    ]


if __name__ == "__main__":
    main()
