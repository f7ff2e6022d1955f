"""The hidden rows of bundles follow the messages of the live service and the clock, each bundle by its own numbers."""

import gc
import time
from dataclasses import replace

import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from shortlist.bundle import Bundle
from shortlist.bundle.tables import ItemTables
from shortlist.catalog.catalog import Catalog
from shortlist.catalog_item import Availability
from shortlist.inference.hidden_rows import HiddenRows
from shortlist.inference.popular import popular_rows
from shortlist.live.v1 import catalog_service_pb2 as pb

_HIDDEN, _SHOWN = pb.Availability(hidden=True), pb.Availability()
_SECOND = 1_000_000_000


@pytest.fixture
def items(small_bundle: Bundle) -> ItemTables:
    """The items "a" to "l" in rows 0 to 11."""
    return small_bundle.items


def told(
    *items: str,
    availability: pb.Availability = _HIDDEN,
    begins: bool = False,
    is_current: bool = True,
    position: int = 1,
) -> pb.WatchChangesResponse:
    return pb.WatchChangesResponse(
        items=[pb.Item(item_id=item, availability=availability) for item in items],
        position=position,
        store_id="store",
        begins=begins,
        is_current=is_current,
    )


def hidden(rows: HiddenRows) -> list[int]:
    found = np.flatnonzero(rows.among(np.arange(12))).tolist()
    assert rows.count == len(found)
    return found


def moment(now: int) -> Timestamp:
    message = Timestamp()
    message.FromNanoseconds(now)
    return message


def test_a_bundle_follows_the_changes(items: ItemTables) -> None:
    """Proves it for items that it knows and others, hidden before and after it was loaded, and hidden twice."""
    catalog = Catalog()
    catalog.take(told("a", "unknown", begins=True))
    rows = catalog.hidden_rows(items)
    assert hidden(rows) == [0]
    catalog.take(told("c", "a", "b"))
    assert hidden(rows) == [0, 1, 2]
    catalog.take(told("a", "a", "unknown", availability=_SHOWN, position=3))
    assert hidden(rows) == [1, 2]
    assert catalog.place == ("store", 3)


def test_a_deleted_item_is_hidden_until_it_is_put_again(items: ItemTables) -> None:
    """Proves it for one that is shown by its availability, and for one that stays hidden by it afterwards."""
    catalog = Catalog()
    rows = catalog.hidden_rows(items)
    gone = [pb.Item(item_id="a", availability=_SHOWN, deleted=True), pb.Item(item_id="b", availability=_HIDDEN)]
    catalog.take(pb.WatchChangesResponse(items=gone, position=2, store_id="store", begins=True, is_current=True))
    assert hidden(rows) == [0, 1]
    content = pb.ItemContent(columns={"title": pb.Cell(text="a")})
    put = [pb.Item(item_id="a", content=content), pb.Item(item_id="b", availability=_HIDDEN, content=content)]
    catalog.take(pb.WatchChangesResponse(items=put, position=4, store_id="store", is_current=True))
    assert hidden(rows) == [1]


def test_a_row_is_another_item_in_another_bundle(items: ItemTables) -> None:
    """Proves that the item is hidden, in two bundles that number it differently."""
    other = replace(items, ids=np.array([b"b", b"c", b"m"]))
    catalog = Catalog()
    first, second = catalog.hidden_rows(items), catalog.hidden_rows(other)
    catalog.take(told("c", "m", begins=True))
    assert hidden(first) == [2]
    assert second.among(np.arange(3)).tolist() == [False, True, True]


def test_a_state_from_the_beginning_counts_once_it_is_whole(items: ItemTables) -> None:
    """Proves that no hidden item is shown meanwhile, and that items without a word in it are shown then."""
    catalog = Catalog()
    rows = catalog.hidden_rows(items)
    catalog.take(told("a", "b", begins=True))
    catalog.take(told("b", begins=True, is_current=False, position=2))
    assert (hidden(rows), catalog.place) == ([0, 1], ("store", 1))
    catalog.drop_incomplete()
    catalog.take(told("c", position=3))
    assert hidden(rows) == [0, 1, 2]
    catalog.take(told("b", begins=True, is_current=False, position=4))
    catalog.take(told("d", position=5))
    assert (hidden(rows), catalog.place) == ([1, 3], ("store", 5))


def test_the_first_state_is_waited_for(items: ItemTables) -> None:
    """Proves that a page of it is not enough."""
    catalog = Catalog()
    assert not catalog.wait(0)
    catalog.take(told("a", begins=True, is_current=False))
    assert not catalog.wait(0)
    catalog.take(told())
    assert catalog.wait(0)


def test_time_hides_and_shows(items: ItemTables) -> None:
    """Proves it for both ends of a window, for a later word on the item, and without a word from the live service."""
    catalog, now = Catalog(), time.time_ns()
    rows = catalog.hidden_rows(items)
    soon, later = moment(now + _SECOND // 5), moment(now + 2 * _SECOND // 5)
    catalog.take(told("a", "d", availability=pb.Availability(available_from=soon), begins=True))
    catalog.take(told("b", availability=pb.Availability(available_until=soon)))
    catalog.take(told("c", availability=pb.Availability(available_from=soon, available_until=later)))
    catalog.take(told("d"))
    assert hidden(rows) == [0, 2, 3]
    seen = [hidden(rows)]
    while time.time_ns() < now + 3 * _SECOND // 5:
        catalog.pass_time()
        if hidden(rows) != seen[-1]:
            seen.append(hidden(rows))
        time.sleep(0.01)
    assert seen == [[0, 2, 3], [1, 3], [1, 2, 3]]


@pytest.mark.parametrize(
    ("availability", "times"),
    [
        (Availability(), [False] * 4),
        (Availability(hidden=True), [True] * 4),
        (Availability(available_from=1), [True, False, False, False]),
        (Availability(available_until=2), [False, False, True, True]),
        (Availability(available_from=1, available_until=2), [True, False, True, True]),
    ],
    ids=str,
)
def test_an_item_is_shown_from_its_first_moment_until_before_its_last(
    availability: Availability, times: list[bool]
) -> None:
    """Proves it for the moments 0 to 3."""
    assert [availability.hides_at(now) for now in range(4)] == times


def test_the_catalogue_keeps_no_bundle_alive(items: ItemTables, uncollected: None) -> None:
    """Proves that a replaced bundle leaves the memory at once."""
    catalog = Catalog()
    rows = catalog.hidden_rows(items)
    assert len(catalog._of_bundles) == 1
    del rows
    assert not len(catalog._of_bundles)
    assert not gc.isenabled()


@pytest.mark.parametrize("away", ["", "l", "lkjihg"])
def test_the_fallback_reads_on_past_hidden_items(items: ItemTables, away: str) -> None:
    """Proves that it has as many as were asked for, while there are so many."""
    rows = HiddenRows(items.ids)
    rows.change([*"lkihgfe"], hidden=True)
    excluded = np.sort(np.array(["abcdefghijkl".index(item) for item in away], dtype=np.int64))
    shown = [row for row in (9, 3, 2, 1, 0) if row not in excluded]
    for count in range(7):
        assert popular_rows(items, count, excluded, hidden=rows).tolist() == shown[:count]
