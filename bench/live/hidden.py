"""Hidden items: how soon they are gone from answers, and the cost of 1 % of them."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import grpc
import numpy as np
from rich.console import Console
from rich.progress import track

from bench.harness.load import Target, generators
from bench.harness.planted_bundle import planted_bundle
from bench.harness.requests import retrieve_requests, user_ids
from shortlist.bundle import Bundle
from shortlist.live.v1 import catalog_service_pb2 as pb
from shortlist.live.v1.catalog_service_pb2_grpc import CatalogServiceStub
from shortlist.ranking.v1.ranking_service_pb2 import RecommendRequest
from shortlist.ranking.v1.ranking_service_pb2_grpc import RankingServiceStub
from shortlist.type.v1.user_pb2 import User
from testbed.services import Running, Service, start_both

_METHOD = "/shortlist.retrieval.v1.RetrievalService/Retrieve"
_CALL_SECONDS, _SECOND = 10.0, 1.0
_TOMBSTONES, _IN_FLIGHT = 0.01, (1, 16)
Figures = dict[str, float]


def hidden_figures(folder: Path, hides: int, rounds: int, seconds: float) -> Figures:
    """Times ``hides`` of an item until it is gone, and compares retrieval with and without hidden items."""
    bundle = Bundle.open(planted_bundle())
    with _services(folder, bundle.directory.parent) as (live, following, showing):
        with grpc.insecure_channel(live.address) as to_live, grpc.insecure_channel(following.ranking.address) as to:
            figures = _gone(CatalogServiceStub(to_live), RankingServiceStub(to), user_ids(bundle)[:hides])
            _hide(CatalogServiceStub(to_live), _tombstones(bundle))
        # The services know of it within a second.
        time.sleep(_SECOND)
        requests = retrieve_requests(bundle)
        targets = {
            name: Target(address=one.address, method=_METHOD, pids=(one.process.pid,), requests=requests)
            for name, one in (("hiding", following.retrieval), ("showing", showing))
        }
        return figures | _cost(folder, targets, rounds, seconds)


def hidden_rows(figures: Figures) -> list[tuple[str, str, str]]:
    """The rows of the table: name, asked, measured."""
    return [
        ("hidden item gone p50, p99, ms", "1000", f"{figures['gone_p50_ms']:.0f}, {figures['gone_p99_ms']:.0f}"),
        ("Retrieve with 1 % hidden: p50 alone", "1.15 times", f"{_times(figures, 'p50_ms_at_1'):.2f} times"),
        ("Retrieve with 1 % hidden: CPU at 16 in flight", "1.15 times", f"{_times(figures, 'cpu_us_at_16'):.2f} times"),
    ]


def _times(figures: Figures, name: str) -> float:
    return figures[f"hiding_{name}"] / figures[f"showing_{name}"]


@contextlib.contextmanager
def _services(folder: Path, bundles: Path) -> Iterator[tuple[Service, Running, Service]]:
    """A live service, both services that follow it, and a retrieval service that follows one without hidden items."""
    with (
        Service.start("live_service", ["--store", str(folder / "items.sqlite")], folder / "items.log") as live,
        Service.start("live_service", ["--store", str(folder / "none.sqlite")], folder / "none.log") as nothing,
    ):
        target, other = ["--live", live.address], ["--bundles", str(bundles), "--live", nothing.address]
        with (
            start_both(bundles, folder, retrieval=target, ranking=target) as following,
            Service.start("retrieval_service", other, folder / "showing.log") as showing,
        ):
            yield live, following, showing


def _hide(catalog: CatalogServiceStub, item_ids: Sequence[str], *, hidden: bool = True) -> None:
    for start in range(0, len(item_ids), 1000):
        request = pb.SetAvailabilityRequest(item_ids=item_ids[start : start + 1000])
        request.availability.hidden = hidden
        catalog.SetAvailability(request, timeout=_CALL_SECONDS)


def _gone(catalog: CatalogServiceStub, ranking: RankingServiceStub, users: Sequence[str]) -> Figures:
    """The time from the acknowledgement to the end of the first answer without the item."""
    took = list[float]()

    def listed(user: str) -> list[str]:
        asked = RecommendRequest(user=User(user_id=user), limit=10)
        return [item.item_id for item in ranking.Recommend(asked, timeout=_CALL_SECONDS).items]

    for user in track(users, "hidden items", console=Console(stderr=True)):
        first = listed(user)[0]
        _hide(catalog, [first])
        acknowledged = time.perf_counter()
        while first in listed(user):
            pass
        took.append((time.perf_counter() - acknowledged) * 1e3)
        _hide(catalog, [first], hidden=False)
    return {
        "gone_p50_ms": float(np.median(took)),
        "gone_p99_ms": float(np.percentile(took, 99)),
    }


def _tombstones(bundle: Bundle) -> list[str]:
    random = np.random.default_rng(8)
    count = len(bundle.items.ids)
    return bundle.items.ids_of(random.choice(count, size=int(count * _TOMBSTONES), replace=False))


def _cost(folder: Path, targets: dict[str, Target], rounds: int, seconds: float) -> Figures:
    measured: dict[str, list[float]] = {}
    with generators(targets, folder) as loaded:
        for in_flight in _IN_FLIGHT:
            for name in targets:
                loaded.load(name, in_flight, 1.0)
        for number in track(range(rounds), "rounds with hidden items", console=Console(stderr=True)):
            for in_flight in _IN_FLIGHT:
                for name in [*targets] if number % 2 == 0 else [*targets][::-1]:
                    load = loaded.load(name, in_flight, seconds)
                    if load.failed:
                        raise SystemExit(f"{load.failed} of {load.calls} calls failed; see the logs in {folder}")
                    measured.setdefault(f"{name}_p50_ms_at_{in_flight}", []).append(load.p50_ms)
                    measured.setdefault(f"{name}_cpu_us_at_{in_flight}", []).append(load.cpu_us)
    return {name: statistics.median(values) for name, values in measured.items()}
