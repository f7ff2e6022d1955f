"""``python -m bench.live.stores``: acknowledgements, intake and kills over SQLite and over PostgreSQL.

PostgreSQL runs on the same machine, with the settings that it has by itself. Writes ``build/bench/live_stores.json``.
"""

import argparse
import shutil
from pathlib import Path

import grpc
from rich.console import Console
from rich.table import Table

from bench.harness.machine import machine
from bench.harness.planted import BUILD
from bench.harness.processes import write_json
from bench.live.events import Figures
from bench.live.kills import killed
from bench.live.recording import acknowledgements, intake
from shortlist.live.v1.event_service_pb2_grpc import EventServiceStub
from testbed.postgres import postgres_server
from testbed.services import Service

_FOLDER = BUILD / "live_stores"
_NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m bench.live.stores", description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="kills of each live service (default: 50)")
    parser.add_argument("--seconds", type=float, default=5.0, help="seconds of the intake (default: 5)")
    options = parser.parse_args()
    shutil.rmtree(_FOLDER, ignore_errors=True)
    _FOLDER.mkdir(parents=True)
    with postgres_server() as server:
        stores = {"sqlite": str(_FOLDER / "events.sqlite"), "postgresql": server.url}
        figures = {name: _measured(store, options, _FOLDER / name) for name, store in stores.items()}
    write_json(BUILD / "live_stores.json", {"machine": machine(), **figures})
    _print(figures)


def _measured(store: str, options: argparse.Namespace, folder: Path) -> Figures:
    folder.mkdir()
    with (
        Service.start("live_service", ["--store", store], folder / "live.log") as service,
        grpc.insecure_channel(service.address) as channel,
    ):
        live = EventServiceStub(channel)
        figures = acknowledgements(live) | intake(live, options.seconds)
    return figures | killed(store, options.kills, folder / "killed.log")


def _print(figures: dict[str, Figures]) -> None:
    table = Table(title="stores of live events")
    for column in ("", "asked", *(_NAMES[name] for name in figures)):
        table.add_column(column, justify="left" if not column else "right")
    table.add_row(
        "acknowledgement p50, p99, ms",
        "2, 20",
        *(f"{one['ack_p50_ms']:.2f}, {one['ack_p99_ms']:.2f}" for one in figures.values()),
    )
    table.add_row(
        "events a second, in batches of 500",
        "10,000",
        *(f"{one['intake_events_per_second']:,.0f}" for one in figures.values()),
    )
    table.add_row(
        "missing, double after kills",
        "0, 0",
        *(
            f"{one['missing']:.0f}, {one['double']:.0f} of {one['acknowledged']:,.0f} after {one['kills']:.0f}"
            for one in figures.values()
        ),
    )
    Console().print(table)


if __name__ == "__main__":
    main()
