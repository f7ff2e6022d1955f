"""Items that are put and deleted, on a real socket: what is refused, what is stored, and what is told."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from shortlist.errors import InvalidRequest
from shortlist.live.v1 import catalog_service_pb2 as pb
from shortlist.live.v1.catalog_service_pb2_grpc import CatalogServiceStub
from shortlist.status import read_error

_SOON = 10.0
_HIDDEN = pb.Availability(hidden=True)
_AT_ONCE = pb.Availability(available_from=Timestamp(seconds=2), available_until=Timestamp(seconds=2))


def content(**cells: pb.Cell) -> pb.ItemContent:
    return pb.ItemContent(columns=cells)


def putting(item_id: str, title: str = "a") -> pb.Item:
    return pb.Item(item_id=item_id, content=content(title=pb.Cell(text=title)))


def numbers(*values: float) -> pb.Cell:
    return pb.Cell(numbers=pb.Numbers(values=values))


@pytest.mark.parametrize(
    ("item", "field"),
    [
        (putting(""), "item_id"),
        (putting("x" * 257), "item_id"),
        (putting("a\0b"), "item_id"),
        (pb.Item(item_id="bad"), "content"),
        (pb.Item(item_id="bad", content=content()), "content"),
        (pb.Item(item_id="bad", content=content(**{f"c{n}": pb.Cell(number=n) for n in range(65)})), "content.columns"),
        (pb.Item(item_id="bad", content=content(**{"": pb.Cell(number=1)})), "content.columns['']"),
        (pb.Item(item_id="bad", content=content(year=pb.Cell())), "content.columns['year']"),
        (pb.Item(item_id="bad", content=content(year=pb.Cell(number=math.nan))), "content.columns['year']"),
        (pb.Item(item_id="bad", content=content(year=pb.Cell(number=1e39))), "content.columns['year']"),
        (putting("bad", "x" * 16_385), "content.columns['title']"),
        (
            pb.Item(item_id="bad", content=content(tags=pb.Cell(texts=pb.Texts(values=["a", "b" * 257])))),
            "content.columns['tags'].texts.values[1]",
        ),
        (
            pb.Item(item_id="bad", content=content(tags=pb.Cell(texts=pb.Texts(values=["a"] * 1001)))),
            "content.columns['tags']",
        ),
        (
            pb.Item(item_id="bad", content=content(image=numbers(1, math.inf))),
            "content.columns['image'].numbers.values",
        ),
        (pb.Item(item_id="bad", content=content(image=numbers())), "content.columns['image'].numbers.values"),
        (pb.Item(item_id="bad", content=pb.ItemContent(vector=pb.ItemVector(values=[1]))), "content.vector.bundle_id"),
        (
            pb.Item(item_id="bad", content=pb.ItemContent(vector=pb.ItemVector(bundle_id="b"))),
            "content.vector.values",
        ),
        (
            pb.Item(item_id="bad", content=content(**{f"c{n}": pb.Cell(text="x" * 16_000) for n in range(5)})),
            "content",
        ),
        (pb.Item(item_id="bad", content=content(n=pb.Cell(number=1)), deleted=True), "deleted"),
        (
            pb.Item(item_id="bad", content=content(n=pb.Cell(number=1)), availability=_AT_ONCE),
            "availability.available_until",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_item_is_refused_by_itself(catalog: CatalogServiceStub, item: pb.Item, field: str) -> None:
    """Proves that its status names the field, and that the item behind it in the call is stored."""
    good = putting("good", str(time.monotonic_ns()))
    response = catalog.UpsertItems(pb.UpsertItemsRequest(items=[item, good]))
    assert [status.outcome for status in response.statuses] == [pb.ITEM_OUTCOME_REFUSED, pb.ITEM_OUTCOME_STORED]
    assert (response.statuses[0].field, bool(response.statuses[0].description)) == (field, True)
    listed = catalog.ListItems(pb.ListItemsRequest(limit=1, after_item_id="goo")).items
    assert [*listed] == [pb.Item(item_id="good", availability=pb.Availability(), content=good.content)]
    assert not [one for one in catalog.ListItems(pb.ListItemsRequest(limit=1000)).items if one.item_id == "bad"]


@pytest.mark.parametrize(
    ("ask", "field"),
    [
        (lambda catalog: catalog.UpsertItems(pb.UpsertItemsRequest()), "items"),
        (lambda catalog: catalog.UpsertItems(pb.UpsertItemsRequest(items=[pb.Item()] * 1001)), "items"),
        (lambda catalog: catalog.DeleteItems(pb.DeleteItemsRequest()), "item_ids"),
        (lambda catalog: catalog.DeleteItems(pb.DeleteItemsRequest(item_ids=["a", ""])), "item_ids[1]"),
    ],
)
def test_a_call_of_too_many_or_none_is_refused(
    catalog: CatalogServiceStub, ask: Callable[[CatalogServiceStub], object], field: str
) -> None:
    """Proves that the error names the field."""
    with pytest.raises(grpc.RpcError) as raised:
        ask(catalog)
    error = read_error(raised.value)
    assert isinstance(error, InvalidRequest)
    assert error.violations[0].field == field


def test_an_item_is_put_told_deleted_and_put_again(catalog: CatalogServiceStub) -> None:
    """Proves that one who watches is told its content each time, that a put sent again is unchanged and told nothing,
    and that the same columns in another order are the same.
    """
    cells = {"title": pb.Cell(text="Heat"), "year": pb.Cell(number=1995), "image": numbers(0.5, 2)}
    cells |= {f"c{number}": pb.Cell(number=number) for number in range(20)}
    item = pb.Item(item_id="put", content=content(**cells), availability=_HIDDEN)
    again = pb.Item(item_id="put", content=content(**dict(reversed(cells.items()))))
    last = next(message for message in catalog.WatchChanges(pb.WatchChangesRequest()) if message.is_current)
    since = pb.WatchChangesRequest(store_id=last.store_id, from_position=last.position)
    watching = (message for message in catalog.WatchChanges(since, timeout=_SOON) if message.items)
    first = catalog.UpsertItems(pb.UpsertItemsRequest(items=[item]))
    assert [status.outcome for status in first.statuses] == [pb.ITEM_OUTCOME_STORED]
    assert [*next(watching).items] == [item]
    second = catalog.UpsertItems(pb.UpsertItemsRequest(items=[again]))
    assert [status.outcome for status in second.statuses] == [pb.ITEM_OUTCOME_UNCHANGED]
    assert second.position == first.position
    deleted = catalog.DeleteItems(pb.DeleteItemsRequest(item_ids=["put"])).position
    assert deleted == first.position + 1 == catalog.DeleteItems(pb.DeleteItemsRequest(item_ids=["put"])).position
    assert [*next(watching).items] == [pb.Item(item_id="put", availability=_HIDDEN, deleted=True)]
    catalog.UpsertItems(pb.UpsertItemsRequest(items=[again]))
    assert [*next(watching).items] == [item]


def test_no_message_is_too_large(catalog: CatalogServiceStub) -> None:
    """Proves that the largest items are told and listed over several messages, each of which a caller accepts."""
    title, ids = pb.Cell(text="x" * 16_000), [f"large-{number:02}" for number in range(80)]
    cells = dict.fromkeys("abcd", title)
    start = catalog.ListItems(pb.ListItemsRequest(limit=1)).position
    for some in (ids[:40], ids[40:]):
        items = [pb.Item(item_id=item_id, content=content(**cells)) for item_id in some]
        catalog.UpsertItems(pb.UpsertItemsRequest(items=items))
    store_id = next(catalog.WatchChanges(pb.WatchChangesRequest())).store_id
    watching = catalog.WatchChanges(pb.WatchChangesRequest(store_id=store_id, from_position=start), timeout=_SOON)
    told = [*itertools.takewhile(lambda message: not message.is_current, watching)]
    assert len(told) > 1
    assert max(message.ByteSize() for message in told) < 4 * 2**20
    listed, after = list[str](), "large-"
    while True:
        page = catalog.ListItems(pb.ListItemsRequest(limit=1000, after_item_id=after))
        listed += [item.item_id for item in page.items if item.item_id.startswith("large-")]
        after = page.items[-1].item_id
        if not page.has_more:
            break
    assert listed == ids
