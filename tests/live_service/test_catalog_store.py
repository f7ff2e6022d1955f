"""The promises of every store of the catalogue."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from live_service.events import Event
from live_service.item_change import ItemChange, deletion
from live_service.store.catalog_store import CatalogChanges, LiveStore
from live_service.store.sqlite_store import SqliteStore
from shortlist.catalog_item import ALWAYS, HIDDEN, Availability, CatalogItem

_VIEW = Event(event_id="1", user_id="ann", item_id="lamp", event="view", value=None, time=10)
_SALE = Availability(available_from=100, available_until=2**62)


def say(store: LiveStore, item_ids: Iterable[str], availability: Availability) -> int:
    changes = [ItemChange(item_id=item_id, availability=availability) for item_id in item_ids]
    return store.catalog.change(changes).position


def put(item_id: str, content: bytes, availability: Availability | None = None) -> ItemChange:
    return ItemChange(item_id=item_id, content=content, availability=availability)


def ids_of(found: CatalogChanges) -> list[str]:
    return [item.item_id for item in found.items]


def test_the_last_word_on_an_item_counts(store: LiveStore) -> None:
    """Proves that changes come in the order of the last word on each item, with what it says."""
    say(store, ["lamp", "rug", "chair"], HIDDEN)
    say(store, ["lamp"], _SALE)
    position = say(store, ["chair"], ALWAYS)
    found = store.catalog.changes(0, 10)
    assert [(item.item_id, item.availability) for item in found.items] == [
        ("rug", HIDDEN),
        ("lamp", _SALE),
        ("chair", ALWAYS),
    ]
    assert (found.position, found.is_current) == (position, True)


def test_changes_go_on_after_a_position(store: LiveStore) -> None:
    """Proves that pages leave nothing out and tell nothing twice, and that no change is told to one who knows all."""
    say(store, [*"abcde"], HIDDEN)
    first = store.catalog.changes(0, 2)
    assert (ids_of(first), first.is_current) == (["a", "b"], False)
    second = store.catalog.changes(first.position, 4)
    assert (ids_of(second), second.is_current) == (["c", "d", "e"], True)
    assert ids_of(store.catalog.changes(second.position, 4)) == []


def test_events_and_items_share_the_positions(store: LiveStore) -> None:
    """Proves that the position of an event is above that of the change before it, and the other way round."""
    hidden = say(store, ["lamp", "rug"], HIDDEN)
    recorded = store.record([_VIEW]).position
    shown = say(store, ["lamp"], ALWAYS)
    assert hidden < recorded < shown == store.histories(["ann"], 1, None).position
    assert store.catalog.changes(recorded, 10).position == shown


def test_the_list_has_the_items_that_are_not_simply_available(store: LiveStore) -> None:
    """Proves that it is in the order of ids, and goes on after an id."""
    say(store, ["b", "a", "d", "c"], HIDDEN)
    position = say(store, ["c"], ALWAYS)
    say(store, ["b"], _SALE)
    assert ids_of(store.catalog.items("", 2)) == ["a", "b"]
    found = store.catalog.items("b", 2)
    assert (ids_of(found), found.is_current, found.position) == (["d"], True, position + 1)


def test_the_catalogue_survives_a_restart_under_another_identity(tmp_path: Path) -> None:
    """Proves that whoever followed the store before reads it from the beginning: it may be an older copy."""
    first = SqliteStore.open(tmp_path / "events.sqlite")
    position, identity = say(first, ["lamp"], HIDDEN), first.catalog.identity
    first.close()
    second = SqliteStore.open(tmp_path / "events.sqlite")
    found = second.catalog.changes(0, 10)
    assert (ids_of(found), found.position) == (["lamp"], position)
    assert second.catalog.identity != identity
    second.close()


def test_a_change_without_a_difference_moves_nothing(store: LiveStore) -> None:
    """Proves that a call that is sent again changes no position, and that the next position follows the last one."""
    first = store.catalog.change([put("lamp", b"one"), put("rug", b"two", HIDDEN)])
    again = store.catalog.change([put("lamp", b"one"), put("rug", b"two"), ItemChange(item_id="new")])
    assert (first.outcomes, again.outcomes) == ([True, True], [False, False, False])
    assert first.position == again.position == 2
    assert not store.catalog.changes(first.position, 10).items
    assert store.catalog.change([put("rug", b"two", ALWAYS)]).position == 3


def test_content_and_availability_are_changed_apart(store: LiveStore) -> None:
    """Proves that a put and a deletion leave a hidden item hidden, and that hiding leaves its content."""
    store.catalog.change([put("lamp", b"one", HIDDEN), put("rug", b"two")])
    say(store, ["rug"], HIDDEN)
    store.catalog.change([put("lamp", b"three"), deletion("rug"), deletion("chair")])
    assert store.catalog.changes(0, 10).items == [
        CatalogItem(item_id="lamp", availability=HIDDEN, content=b"three"),
        CatalogItem(item_id="rug", availability=HIDDEN, content=b""),
        CatalogItem(item_id="chair", content=b""),
    ]
    say(store, ["chair"], ALWAYS)
    assert [item.is_deleted for item in store.catalog.items("", 1).items] == [True]
    store.catalog.change([put("chair", b"four")])
    assert [item.is_deleted for item in store.catalog.items("", 1).items] == [False]


def test_changes_of_a_commit_count_one_after_the_other(store: LiveStore) -> None:
    """Proves that an item has one position in the end, the last one, and that each change has its own outcome."""
    changes = [put("lamp", b"one"), put("rug", b"two"), deletion("lamp"), put("lamp", b"three"), put("lamp", b"three")]
    done = store.catalog.change(changes)
    assert done.outcomes == [True, True, True, True, False]
    found = store.catalog.changes(0, 10)
    assert [(item.item_id, item.content) for item in found.items] == [("rug", b"two"), ("lamp", b"three")]
    assert found.position == done.position == 2


@pytest.mark.parametrize("binary", [b"\0\xff\\x00'{}", bytes(range(256))])
def test_content_comes_back_as_it_was(store: LiveStore, binary: bytes) -> None:
    """Proves it for bytes that are no text, and for an id of other letters."""
    store.catalog.change([put("Stuhl «ü» 椅子", binary), put("plain", b"x")])
    assert store.catalog.changes(0, 10).items[0] == CatalogItem(item_id="Stuhl «ü» 椅子", content=binary)


def test_a_page_of_much_content_is_cut(store: LiveStore) -> None:
    """Proves that a page fits into a message, that pages leave nothing out, and that the last one says so."""
    ids = [f"{number:03}" for number in range(100)]
    store.catalog.change([put(item_id, bytes([65]) * 65_536) for item_id in ids])
    changed, listed, position, after = list[str](), list[str](), 0, ""
    for is_current in (False, False, False, True):
        found = store.catalog.changes(position, 1000)
        page = store.catalog.items(after, 1000)
        assert found.is_current == page.is_current == is_current
        assert sum(len(item.content or b"") for item in found.items) <= 2 * 2**20 + 65_536
        changed, listed = changed + ids_of(found), listed + ids_of(page)
        position, after = found.position, listed[-1]
    assert changed == listed == ids
    assert position == 100
