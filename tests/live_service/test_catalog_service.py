"""CatalogService on a real socket: what it refuses, what it lists, and what those who watch are told."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import time
from collections.abc import Callable

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from live_service import live_catalog
from shortlist.errors import InvalidRequest, Overloaded
from shortlist.live.v1 import catalog_service_pb2 as pb
from shortlist.live.v1.catalog_service_pb2_grpc import CatalogServiceStub
from shortlist.status import read_error

_SOON = 10.0
_HIDDEN = pb.Availability(hidden=True)


def setting(item_ids: list[str], availability: pb.Availability | None = _HIDDEN) -> pb.SetAvailabilityRequest:
    return pb.SetAvailabilityRequest(item_ids=item_ids, availability=availability)


def between(start: int, end: int) -> pb.Availability:
    return pb.Availability(available_from=Timestamp(seconds=start), available_until=Timestamp(seconds=end))


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (setting([]), "item_ids"),
        (setting(["a"] * 1001), "item_ids"),
        (setting(["a", ""]), "item_ids[1]"),
        (setting(["x" * 257]), "item_ids[0]"),
        (setting(["a\0b"]), "item_ids[0]"),
        (setting(["a"], None), "availability"),
        (setting(["a"], between(2, 2)), "availability.available_until"),
        (setting(["a"], between(-1, 2)), "availability.available_from"),
        (
            setting(["a"], pb.Availability(available_from=Timestamp(nanos=-1))),
            "availability.available_from.nanos",
        ),
        (
            setting(["a"], pb.Availability(hidden=True, available_until=Timestamp(seconds=9))),
            "availability.available_until",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_change_out_of_bounds_is_refused(
    catalog: CatalogServiceStub, request_: pb.SetAvailabilityRequest, field: str
) -> None:
    """Proves that the error names the field, and that no item of the call is changed."""
    before = catalog.ListItems(pb.ListItemsRequest(limit=1)).position
    with pytest.raises(grpc.RpcError) as raised:
        catalog.SetAvailability(request_)
    error = read_error(raised.value)
    assert isinstance(error, InvalidRequest)
    assert error.violations[0].field == field
    assert catalog.ListItems(pb.ListItemsRequest(limit=1)).position == before


@pytest.mark.parametrize(
    ("ask", "field"),
    [
        (lambda catalog: catalog.ListItems(pb.ListItemsRequest()), "limit"),
        (lambda catalog: catalog.ListItems(pb.ListItemsRequest(limit=1001)), "limit"),
        (lambda catalog: catalog.ListItems(pb.ListItemsRequest(limit=1, after_item_id="x" * 257)), "after_item_id"),
        (lambda catalog: next(catalog.WatchChanges(pb.WatchChangesRequest(from_position=-1))), "from_position"),
    ],
)
def test_a_question_out_of_bounds_is_refused(
    catalog: CatalogServiceStub, ask: Callable[[CatalogServiceStub], object], field: str
) -> None:
    """Proves that the error of a stream has the same details as that of a single answer."""
    with pytest.raises(grpc.RpcError) as raised:
        ask(catalog)
    error = read_error(raised.value)
    assert isinstance(error, InvalidRequest)
    assert error.violations[0].field == field


def test_the_list_has_what_was_said(catalog: CatalogServiceStub) -> None:
    """Proves that an item that is shown again is in the list no more, and that times come back as they were."""
    catalog.SetAvailability(setting(["list-a", "list-b", "list-a"]))
    catalog.SetAvailability(setting(["list-b"], between(5, 7)))
    found = catalog.ListItems(pb.ListItemsRequest(limit=2, after_item_id="list-"))
    assert [(item.item_id, item.availability) for item in found.items] == [
        ("list-a", _HIDDEN),
        ("list-b", between(5, 7)),
    ]
    catalog.SetAvailability(setting(["list-a", "list-b"], pb.Availability()))
    assert not catalog.ListItems(pb.ListItemsRequest(limit=2, after_item_id="list-")).items


def test_one_who_watches_is_told_everything_and_then_each_change(catalog: CatalogServiceStub) -> None:
    """Proves that a change is told at once, that signs of life come between, and that a later call goes on."""
    catalog.SetAvailability(setting([f"many-{number}" for number in range(900)]))
    catalog.SetAvailability(setting([f"more-{number}" for number in range(900)]))
    watching = catalog.WatchChanges(pb.WatchChangesRequest(), timeout=_SOON)
    first = next(watching)
    assert (len(first.items), first.begins, first.is_current) == (1000, True, False)
    told = list(first.items)
    while not first.is_current:
        first = next(watching)
        assert not first.begins
        told += first.items
    assert {item.item_id for item in told} >= {"many-0", "more-899"}
    assert not next(watching).items
    position = catalog.SetAvailability(setting(["just-now"])).position
    change = next(message for message in watching if message.items)
    assert [item.item_id for item in change.items] == ["just-now"]
    assert change.position >= position
    watching.cancel()
    catalog.SetAvailability(setting(["meanwhile"]))
    again = pb.WatchChangesRequest(store_id=change.store_id, from_position=change.position)
    going_on = next(catalog.WatchChanges(again, timeout=_SOON))
    assert ([item.item_id for item in going_on.items], going_on.begins) == (["meanwhile"], False)


@pytest.mark.parametrize("store_id", ["another", ""])
def test_one_who_followed_another_store_begins_again(catalog: CatalogServiceStub, store_id: str) -> None:
    """Proves that it is told so; and so is one whose position is above that of the store."""
    catalog.SetAvailability(setting(["some"]))
    message = next(catalog.WatchChanges(pb.WatchChangesRequest(store_id=store_id, from_position=1), timeout=_SOON))
    assert message.begins
    ahead = pb.WatchChangesRequest(store_id=message.store_id, from_position=2**40)
    message = next(catalog.WatchChanges(ahead, timeout=_SOON))
    assert message.begins
    assert message.position < 2**40


def test_too_many_who_watch_are_refused_and_a_place_comes_free(
    catalog: CatalogServiceStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proves that the others are told of a change at once, without waiting for the next sign of life."""
    monkeypatch.setattr(live_catalog, "HEARTBEAT_SECONDS", 60.0)
    last = next(message for message in catalog.WatchChanges(pb.WatchChangesRequest()) if message.is_current)
    now = pb.WatchChangesRequest(store_id=last.store_id, from_position=last.position)
    watching = [catalog.WatchChanges(now, timeout=60) for _ in range(100)]
    for stream in watching:
        next(stream)
    with pytest.raises(grpc.RpcError) as raised:
        next(catalog.WatchChanges(now, timeout=_SOON))
    assert isinstance(read_error(raised.value), Overloaded)
    catalog.SetAvailability(setting(["crowded"]), timeout=_SOON)
    assert next(message for message in watching[0] if message.items).items
    for stream in watching:
        stream.cancel()
    end = time.monotonic() + _SOON
    while True:
        try:
            next(catalog.WatchChanges(now, timeout=_SOON))
            break
        except grpc.RpcError:
            assert time.monotonic() < end
