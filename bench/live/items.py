"""Live items: how soon hidden ones are gone and new ones found, whether later lists show hidden ones, and the cost."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import grpc
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from bench.harness.load import Target
from bench.harness.planted_bundle import planted_bundle
from bench.harness.requests import retrieve_requests, user_ids
from bench.live.comparison import compared
from bench.live.events import Figures
from shortlist.bundle import Bundle
from shortlist.limits import MAX_ITEMS, MAX_LIMIT
from shortlist.live.v1 import catalog_service_pb2 as pb
from shortlist.live.v1.catalog_service_pb2_grpc import CatalogServiceStub
from shortlist.ranking.v1.ranking_service_pb2 import RecommendRequest
from shortlist.ranking.v1.ranking_service_pb2_grpc import RankingServiceStub
from shortlist.type.v1.user_pb2 import User
from testbed.services import Running, Service, start_both

_METHOD = "/shortlist.retrieval.v1.RetrievalService/Retrieve"
_CALL_SECONDS, _SECOND, _MOST_SECONDS = 10.0, 1.0, 60.0
_TOMBSTONES, _NEW_ITEMS = 0.01, 10_000
_FOUND, _SHOWN_LISTS = 500, 1000


def item_figures(folder: Path, changes: int, rounds: int, seconds: float) -> Figures:
    """Times ``changes`` until an item is gone and until one is found; counts the hidden items that are shown later.

    Compares retrieval that has 10,000 new items and 1 % hidden ones with retrieval that follows a live service without
    any.
    """
    bundle = Bundle.open(planted_bundle())
    with _services(folder, bundle.directory.parent) as (live, following, showing):
        with grpc.insecure_channel(live.address) as to_live, grpc.insecure_channel(following.ranking.address) as to:
            catalog, ranking = CatalogServiceStub(to_live), RankingServiceStub(to)
            users = user_ids(bundle)
            figures = _gone(catalog, ranking, users[:changes]) | _found(catalog, ranking, bundle, users[:changes])
            hidden = _tombstones(bundle)
            _hide(catalog, hidden)
            last = _put_many(catalog, bundle, _near(ranking, bundle, users[0]))
            _until(lambda: last in _listed(ranking, users[0], MAX_LIMIT))
            time.sleep(_SECOND)
            figures |= _shown(ranking, users[:_SHOWN_LISTS], frozenset(hidden))
        requests = retrieve_requests(bundle)
        targets = {
            name: Target(address=one.address, method=_METHOD, pids=(one.process.pid,), requests=requests)
            for name, one in (("changed", following.retrieval), ("unchanged", showing))
        }
        return figures | compared(targets, folder, rounds, seconds, "rounds with changed items")


def item_rows(figures: Figures) -> list[tuple[str, str, str]]:
    """The rows of the table: name, asked, measured."""
    return [
        ("hidden item gone p50, p99, ms", "1000", f"{figures['gone_p50_ms']:.0f}, {figures['gone_p99_ms']:.0f}"),
        ("new item found p50, p99, ms", "1000", f"{figures['found_p50_ms']:.0f}, {figures['found_p99_ms']:.0f}"),
        (
            f"hidden items among {figures['shown']:,.0f} shown after a second",
            "0 in 1,000,000",
            f"{figures['shown_hidden']:,.0f}",
        ),
        ("Retrieve with 10,000 new and 1 % hidden: p50 alone", "1.15 times", _times(figures, "p50_ms_at_1")),
        ("Retrieve with 10,000 new and 1 % hidden: CPU at 16", "1.15 times", _times(figures, "cpu_us_at_16")),
    ]


def _times(figures: Figures, name: str) -> str:
    return f"{figures[f'changed_{name}'] / figures[f'unchanged_{name}']:.2f} times"


@contextlib.contextmanager
def _services(folder: Path, bundles: Path) -> Iterator[tuple[Service, Running, Service]]:
    """A live service, both services that follow it, and a retrieval service that follows one without changes."""
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
    for start in range(0, len(item_ids), MAX_ITEMS):
        request = pb.SetAvailabilityRequest(item_ids=item_ids[start : start + MAX_ITEMS])
        request.availability.hidden = hidden
        catalog.SetAvailability(request, timeout=_CALL_SECONDS)


def _listed(ranking: RankingServiceStub, user: str, limit: int) -> list[str]:
    asked = RecommendRequest(user=User(user_id=user), limit=limit)
    return [item.item_id for item in ranking.Recommend(asked, timeout=_CALL_SECONDS).items]


def _gone(catalog: CatalogServiceStub, ranking: RankingServiceStub, users: Sequence[str]) -> Figures:
    """The time from the acknowledgement to the end of the first answer without the item."""
    took = list[float]()
    for user in track(users, "hidden items", console=Console(stderr=True)):
        first = _listed(ranking, user, 10)[0]
        _hide(catalog, [first])
        took.append(_until(lambda user=user, first=first: first not in _listed(ranking, user, 10)))  # type: ignore[misc]
        _hide(catalog, [first], hidden=False)
    return _quantiles("gone", took)


def _found(catalog: CatalogServiceStub, ranking: RankingServiceStub, bundle: Bundle, users: Sequence[str]) -> Figures:
    """The time from the acknowledgement to the end of the first answer that has the item among all candidates."""
    took = list[float]()
    for number, user in enumerate(track(users, "new items", console=Console(stderr=True))):
        new = f"found-{number}"
        _put(catalog, bundle, [new], _near(ranking, bundle, user)[None, :])
        took.append(_until(lambda user=user, new=new: new in _listed(ranking, user, _FOUND)))  # type: ignore[misc]
        catalog.DeleteItems(pb.DeleteItemsRequest(item_ids=[new]), timeout=_CALL_SECONDS)
    return _quantiles("found", took)


def _near(ranking: RankingServiceStub, bundle: Bundle, user: str) -> NDArray[np.float32]:
    """A vector ``[D]`` of a good candidate: that of the user's first item, and longer."""
    first = bundle.items.ids.searchsorted(_listed(ranking, user, 1)[0].encode())
    return np.asarray(1.5 * bundle.items.vectors[first], dtype=np.float32)


def _until(holds: Callable[[], bool]) -> float:
    """The milliseconds until ``holds`` has said so. Ends the program when it does not in a minute."""
    began = time.perf_counter()
    while not holds():
        if time.perf_counter() - began > _MOST_SECONDS:
            raise SystemExit(f"a change was not seen within {_MOST_SECONDS:.0f} s")
    return (time.perf_counter() - began) * 1e3


def _quantiles(name: str, took: Sequence[float]) -> Figures:
    return {f"{name}_p50_ms": float(np.median(took)), f"{name}_p99_ms": float(np.percentile(took, 99))}


def _tombstones(bundle: Bundle) -> list[str]:
    random = np.random.default_rng(8)
    count = len(bundle.items.ids)
    return bundle.items.ids_of(random.choice(count, size=int(count * _TOMBSTONES), replace=False))


def _put_many(catalog: CatalogServiceStub, bundle: Bundle, last: NDArray[np.float32]) -> str:
    """Puts new items with vectors of the bundle's items, and one with the ``last`` vector; returns its id."""
    random = np.random.default_rng(9)
    vectors = bundle.items.vectors[random.choice(len(bundle.items.ids), size=_NEW_ITEMS, replace=False)]
    vectors = np.concatenate([vectors[1:], last[None, :]])
    ids = [f"new-{number:05}" for number in range(_NEW_ITEMS)]
    for start in track(range(0, _NEW_ITEMS, MAX_ITEMS), "10,000 new items", console=Console(stderr=True)):
        _put(catalog, bundle, ids[start : start + MAX_ITEMS], vectors[start : start + MAX_ITEMS])
    return ids[-1]


def _put(catalog: CatalogServiceStub, bundle: Bundle, ids: Sequence[str], vectors: NDArray[np.float32]) -> None:
    request = pb.UpsertItemsRequest()
    for item_id, vector in zip(ids, vectors.tolist(), strict=True):
        item = request.items.add(item_id=item_id)
        item.content.vector.bundle_id = bundle.bundle_id
        item.content.vector.values.extend(vector)
    response = catalog.UpsertItems(request, timeout=_CALL_SECONDS)
    if any(status.outcome != pb.ITEM_OUTCOME_STORED for status in response.statuses):
        raise SystemExit("an item was not stored")


def _shown(ranking: RankingServiceStub, users: Sequence[str], hidden: frozenset[str]) -> Figures:
    """How many items long lists show, and how many of them are hidden."""
    lists = [_listed(ranking, user, MAX_LIMIT) for user in track(users, "long lists", console=Console(stderr=True))]
    return {
        "shown": sum(map(len, lists)),
        "shown_hidden": sum(item_id in hidden for items in lists for item_id in items),
    }
