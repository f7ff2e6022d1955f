"""The promises of every store of the catalogue."""

from pathlib import Path

from live_service.events import Event
from live_service.store.catalog_store import CatalogChanges, LiveStore
from live_service.store.sqlite_store import SqliteStore
from shortlist.catalog.availability import ALWAYS, HIDDEN, Availability

_VIEW = Event(event_id="1", user_id="ann", item_id="lamp", event="view", value=None, time=10)
_SALE = Availability(available_from=100, available_until=2**62)


def ids_of(found: CatalogChanges) -> list[str]:
    return [item.item_id for item in found.items]


def test_the_last_word_on_an_item_counts(store: LiveStore) -> None:
    """Proves that changes come in the order of the last word on each item, with what it says."""
    store.catalog.set_availability(["lamp", "rug", "chair"], HIDDEN)
    store.catalog.set_availability(["lamp"], _SALE)
    position = store.catalog.set_availability(["chair"], ALWAYS)
    found = store.catalog.changes(0, 10)
    assert [(item.item_id, item.availability) for item in found.items] == [
        ("rug", HIDDEN),
        ("lamp", _SALE),
        ("chair", ALWAYS),
    ]
    assert (found.position, found.is_current) == (position, True)


def test_changes_go_on_after_a_position(store: LiveStore) -> None:
    """Proves that pages leave nothing out and tell nothing twice, and that no change is told to one who knows all."""
    store.catalog.set_availability([*"abcde"], HIDDEN)
    first = store.catalog.changes(0, 2)
    assert (ids_of(first), first.is_current) == (["a", "b"], False)
    second = store.catalog.changes(first.position, 4)
    assert (ids_of(second), second.is_current) == (["c", "d", "e"], True)
    assert ids_of(store.catalog.changes(second.position, 4)) == []


def test_events_and_items_share_the_positions(store: LiveStore) -> None:
    """Proves that the position of an event is above that of the change before it, and the other way round."""
    hidden = store.catalog.set_availability(["lamp", "rug"], HIDDEN)
    recorded = store.record([_VIEW]).position
    shown = store.catalog.set_availability(["lamp"], ALWAYS)
    assert hidden < recorded < shown == store.histories(["ann"], 1, None).position
    assert store.catalog.changes(recorded, 10).position == shown


def test_the_list_has_the_items_that_are_not_simply_available(store: LiveStore) -> None:
    """Proves that it is in the order of ids, and goes on after an id."""
    store.catalog.set_availability(["b", "a", "d", "c"], HIDDEN)
    position = store.catalog.set_availability(["c"], ALWAYS)
    store.catalog.set_availability(["b"], _SALE)
    assert ids_of(store.catalog.items("", 2)) == ["a", "b"]
    found = store.catalog.items("b", 2)
    assert (ids_of(found), found.is_current, found.position) == (["d"], True, position + 1)


def test_the_catalogue_survives_a_restart_under_another_identity(tmp_path: Path) -> None:
    """Proves that whoever followed the store before reads it from the beginning: it may be an older copy."""
    first = SqliteStore.open(tmp_path / "events.sqlite")
    position, identity = first.catalog.set_availability(["lamp"], HIDDEN), first.catalog.identity
    first.close()
    second = SqliteStore.open(tmp_path / "events.sqlite")
    found = second.catalog.changes(0, 10)
    assert (ids_of(found), found.position) == (["lamp"], position)
    assert second.catalog.identity != identity
    second.close()
