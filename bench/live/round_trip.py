"""``python -m bench.live.round_trip``: a call for histories, beside one of a bare server of gRPC for Python.

The bare server answers at once with empty histories: no other call of this library can cost less. Prints the median
latency and the CPU time of both sides, for calls for one, four and eight users. Each call follows a short rest, as
between two batches of ranking. Half of the users have three recorded events.
"""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Sequence

import grpc
from rich.console import Console
from rich.table import Table

from bench.harness.planted import BUILD
from bench.harness.processes import LineProcess, cpu_seconds
from bench.live.events import event, record
from shortlist.live.v1 import event_service_pb2 as pb
from shortlist.live.v1.event_service_pb2_grpc import EventServiceStub
from shortlist.live_histories.client import Cut, LiveClient
from shortlist.security.settings import ClientSecurity
from testbed.services import Service

_FOLDER = BUILD / "round-trip"
_USERS = [f"user-{number}" for number in range(400)]
_REST_SECONDS = 0.002
_CUT = Cut(position=1)
Call = Callable[[Sequence[str]], object]


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m bench.live.round_trip", description=__doc__)
    parser.add_argument("--calls", type=int, default=400, help="calls of each round (default: 400)")
    parser.add_argument("--rounds", type=int, default=4, help="alternating rounds (default: 4)")
    options = parser.parse_args()
    shutil.rmtree(_FOLDER, ignore_errors=True)
    _FOLDER.mkdir(parents=True)
    measured: dict[tuple[int, str], list[tuple[float, float, float]]] = {}
    with _bare() as bare, _ours() as ours:
        for _ in range(options.rounds):
            for users in (1, 4, 8):
                for name, (call, pid) in (("bare", bare), ("ours", ours)):
                    measured.setdefault((users, name), []).append(_measured(call, pid, users, options.calls))
    table = Table("users", "", "latency, µs", "CPU of the server, µs", "CPU of the caller, µs")
    for (users, name), rounds in measured.items():
        figures = (f"{statistics.median(values):.0f}" for values in zip(*rounds, strict=True))
        table.add_row(str(users), name, *figures)
    Console().print(table)


@contextlib.contextmanager
def _bare() -> Iterator[tuple[Call, int]]:
    with LineProcess("bench.live.bare_server") as server, grpc.insecure_channel(str(server.answer())) as channel:
        stub = EventServiceStub(channel)
        yield lambda users: stub.GetHistories(_request(users), timeout=1.0), server.pid


@contextlib.contextmanager
def _ours() -> Iterator[tuple[Call, int]]:
    arguments = ["--store", str(_FOLDER / "events.sqlite")]
    with Service.start("live_service", arguments, _FOLDER / "live.log") as service:
        with grpc.insecure_channel(service.address) as channel:
            for user in _USERS[::2]:
                record(EventServiceStub(channel), [event(f"{user}-{item}", user, item) for item in "abc"])
        with contextlib.closing(LiveClient(service.address, ClientSecurity())) as client:
            yield lambda users: client.histories(users, _CUT, 1.0), service.process.pid


def _request(users: Sequence[str]) -> pb.GetHistoriesRequest:
    return pb.GetHistoriesRequest(user_ids=users, limit=400, after_position=1)


def _measured(call: Call, pid: int, users: int, calls: int) -> tuple[float, float, float]:
    """Median latency and CPU time of server and caller, in µs a call."""
    chosen = itertools.cycle([_USERS[at : at + users] for at in range(0, len(_USERS) - users, users)])
    call(next(chosen))
    before, latencies = (cpu_seconds([pid]), cpu_seconds([os.getpid()])), []
    for _ in range(calls):
        began = time.perf_counter()
        call(next(chosen))
        latencies.append(time.perf_counter() - began)
        time.sleep(_REST_SECONDS)
    server, caller = cpu_seconds([pid]) - before[0], cpu_seconds([os.getpid()]) - before[1]
    return statistics.median(latencies) * 1e6, server / calls * 1e6, caller / calls * 1e6


if __name__ == "__main__":
    main()
