"""The promises of every store of events."""

import itertools
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from live_service.events import Event, Histories, Listed, Outcome
from live_service.group_commit import GroupCommit
from live_service.store.event_store import EventStore
from shortlist.user_hash import user_hash

_SECOND = 1_000_000_000
_VIEW = Event(event_id="1", user_id="ann", item_id="lamp", event="view", value=None, time=10 * _SECOND)
_BUY = Event(event_id="2", user_id="ann", item_id="lamp", event="buy", value=3.5, time=20 * _SECOND)
_RATE = Event(event_id="3", user_id="ann", item_id="rug", event="rate", value=0.0, time=20 * _SECOND)


def items_of(found: Histories) -> list[list[str]]:
    return [[interaction.item_id for interaction in history] for history in found.histories]


def test_a_recorded_event_comes_back_as_it_was(store: EventStore) -> None:
    """Proves that a value of 0 is a value, and that none is none."""
    store.record([_VIEW, _BUY, _RATE])
    [history] = store.histories(["ann"], 10, None).histories
    assert [(one.item_id, one.event, one.value, one.time) for one in history] == [
        ("lamp", "view", None, 10 * _SECOND),
        ("lamp", "buy", 3.5, 20 * _SECOND),
        ("rug", "rate", 0.0, 20 * _SECOND),
    ]


@pytest.mark.parametrize("again", ["within a call", "in a later call"])
def test_the_same_event_twice_is_one_event(store: EventStore, again: str) -> None:
    """Proves that a caller may send an event again when it does not know the outcome."""
    calls = [[_VIEW, _VIEW]] if again == "within a call" else [[_VIEW], [_VIEW]]
    outcomes = [outcome for events in calls for outcome in store.record(events).outcomes]
    assert outcomes == [Outcome.RECORDED, Outcome.DUPLICATE]
    assert items_of(store.histories(["ann"], 10, None)) == [["lamp"]]


@pytest.mark.parametrize(
    "other",
    [
        replace(_VIEW, item_id="rug"),
        replace(_VIEW, user_id="bob"),
        replace(_VIEW, time=11 * _SECOND),
        replace(_VIEW, value=0.0),
        replace(_VIEW, event="buy"),
        replace(_VIEW, shown=(("rug", 1),)),
        replace(_VIEW, recommendation_id="r"),
    ],
    ids=lambda event: "",
)
def test_another_event_of_the_same_id_is_a_conflict(store: EventStore, other: Event) -> None:
    """Proves that the first one stays, whatever differs, and that a position tells of no change."""
    before = store.record([_VIEW]).position
    recorded = store.record([other])
    assert (recorded.outcomes, recorded.position) == ([Outcome.CONFLICT], before)
    assert items_of(store.histories(["ann", "bob"], 10, None)) == [["lamp"], []]


def test_any_order_of_arrival_gives_one_history(store: EventStore) -> None:
    """Proves it for every order of four events, of which one takes another one back."""
    back = Event(event_id="4", user_id="ann", item_id="", event="", value=None, time=30 * _SECOND, retracts="1")
    for number, order in enumerate(itertools.permutations([_VIEW, _BUY, _RATE, back])):
        user = f"user-{number}"
        for event in order:
            retracts = f"{number}-{event.retracts}" if event.retracts else ""
            store.record([replace(event, event_id=f"{number}-{event.event_id}", user_id=user, retracts=retracts)])
        [history] = store.histories([user], 10, None).histories
        assert [(one.item_id, one.event) for one in history] == [("lamp", "buy"), ("rug", "rate")]


def test_nobody_takes_back_the_events_of_another_user(store: EventStore) -> None:
    """Proves that a retraction works for its own user alone."""
    back = Event(event_id="4", user_id="bob", item_id="", event="", value=None, time=30 * _SECOND, retracts="1")
    store.record([_VIEW, back])
    assert items_of(store.histories(["ann"], 10, None)) == [["lamp"]]


def test_a_history_has_the_latest_interactions_after_a_time(store: EventStore) -> None:
    """Proves that the limit counts from the latest, that the time itself is left out, and that impressions are, too."""
    shown = Event(
        event_id="5", user_id="ann", item_id="", event="shown", value=None, time=40 * _SECOND, shown=(("rug", 0),)
    )
    store.record([_VIEW, _BUY, _RATE, shown])
    assert items_of(store.histories(["ann", "nobody"], 2, None)) == [["lamp", "rug"], []]
    assert items_of(store.histories(["ann"], 10, 10 * _SECOND)) == [["lamp", "rug"]]
    assert items_of(store.histories(["ann"], 10, 20 * _SECOND)) == [[]]


def test_a_forgotten_user_has_no_history_and_may_come_back(store: EventStore) -> None:
    """Proves that others keep theirs, that the position grows, and that the id of a deleted event is free."""
    store.record([_VIEW, _BUY, replace(_RATE, user_id="bob")])
    before = store.histories(["ann"], 10, None).position
    forgotten = store.forget("ann")
    assert (forgotten.deleted, forgotten.position > before) == (2, True)
    assert items_of(store.histories(["ann", "bob"], 10, None)) == [[], ["rug"]]
    assert store.record([_VIEW]).outcomes == [Outcome.RECORDED]
    assert items_of(store.histories(["ann"], 10, None)) == [["lamp"]]


def test_a_history_has_the_interactions_that_arrived_after_a_position(store: EventStore) -> None:
    """Proves that a late event is among them, whatever its time."""
    position = store.record([_BUY, _RATE]).position
    store.record([_VIEW])
    assert items_of(store.histories(["ann"], 10, None, position)) == [["lamp"]]
    assert items_of(store.histories(["ann"], 10, None, position - 1)) == [["lamp", "rug"]]
    assert items_of(store.histories(["ann"], 10, 15 * _SECOND, position)) == [[]]


def test_forgotten_users_are_listed_by_keyed_hashes(store: EventStore) -> None:
    """Proves it for users whom the store never knew as well, page by page, and that histories say it."""
    store.record([_VIEW])
    positions = [store.forget(user_id).position for user_id in ("ann", "bob", "ann", "eve")]
    listed = store.forgotten(0, 10)
    assert [one.position for one in listed.users] == positions[1:]
    assert [one.hash for one in listed.users] == [user_hash(listed.hash_key, one) for one in ("bob", "ann", "eve")]
    assert all(abs(one.time - time.time_ns()) < 60 * _SECOND for one in listed.users)
    assert (listed.position, listed.has_more) == (positions[-1], False)
    page = store.forgotten(0, 2)
    assert ([*page.users], page.position, page.has_more) == ([*listed.users[:2]], positions[2], True)
    assert store.forgotten(page.position, 2).users == listed.users[2:]
    found = store.histories(["eve", "ann", "new", "bob"], 1, None)
    assert [*found.forgotten] == [positions[3], positions[2], 0, positions[1]]


def test_the_position_never_falls(store: EventStore) -> None:
    """Proves it when the latest events are forgotten and trimmed."""
    positions = [store.record([_VIEW]).position, store.forget("ann").position, store.record([_BUY]).position]
    store.trim(100 * _SECOND, 10)
    positions += [store.histories(["ann"], 10, None).position, store.record([_RATE]).position]
    assert positions == sorted(positions)
    assert positions[0] >= 1


def test_trimming_deletes_the_oldest(store: EventStore) -> None:
    """Proves both bounds: the age, and the number of each user."""
    many = [replace(_VIEW, event_id=f"a{place}", time=(50 + place) * _SECOND) for place in range(5)]
    store.record([*many, _VIEW, replace(_RATE, user_id="bob", time=60 * _SECOND)])
    assert store.trim(20 * _SECOND, 3) == 3
    [ann, bob] = store.histories(["ann", "bob"], 10, None).histories
    assert [one.time // _SECOND for one in ann] == [52, 53, 54]
    assert len(bob) == 1


def test_an_event_that_was_taken_back_and_trimmed_does_not_come_back(store: EventStore) -> None:
    """Proves it for an event that is sent again after newer ones have pushed it out."""
    back = Event(event_id="4", user_id="ann", item_id="", event="", value=None, time=11 * _SECOND, retracts="1")
    newer = [replace(_BUY, event_id=f"n{place}", time=(50 + place) * _SECOND) for place in range(3)]
    store.record([_VIEW, back, *newer])
    store.trim(0, 3)
    store.record([_VIEW])
    assert "view" not in {one.event for one in store.histories(["ann"], 10, None).histories[0]}


def test_an_event_is_in_the_history_as_soon_as_it_is_recorded(store: EventStore) -> None:
    """Proves it for eight callers at once, whose calls share commits."""
    commits = GroupCommit(store.record, "events")
    barrier = threading.Barrier(8)

    def record_and_read(caller: int) -> Sequence[int]:
        barrier.wait()
        lengths = []
        for place in range(20):
            event = replace(_VIEW, event_id=f"{caller}-{place}", user_id=f"user-{caller}", time=place * _SECOND)
            recorded = commits.commit([event], 10)
            found = store.histories([event.user_id], 100, None)
            assert found.position >= recorded.position
            lengths.append(len(found.histories[0]))
        return lengths

    with ThreadPoolExecutor(8) as pool:
        results = [*pool.map(record_and_read, range(8))]
    commits.close()
    assert results == [[*range(1, 21)]] * 8


def test_each_call_of_a_shared_commit_gets_its_own_outcomes(store: EventStore) -> None:
    """Proves it with callers who all send the same events: each event is recorded for one of them."""
    commits = GroupCommit(store.record, "events")
    events = [replace(_VIEW, event_id=str(place)) for place in range(50)]
    with ThreadPoolExecutor(6) as pool:
        results = [*pool.map(lambda _: commits.commit(events, 10).outcomes, range(6))]
    commits.close()
    for outcomes in zip(*results, strict=True):
        assert sorted(outcome.name for outcome in outcomes) == ["DUPLICATE"] * 5 + ["RECORDED"]


@pytest.mark.parametrize("size", [1, 2, 100])
def test_the_list_of_all_events_has_each_once(store: EventStore, size: int) -> None:
    """Proves it page by page, for events as they were and where they came, without retractions and retracted ones."""
    bob = replace(_VIEW, event_id="4", user_id="bob", recommendation_id="r", shown=(("rug", 1), ("lamp", 0)))
    gone = replace(_VIEW, event_id="5", user_id="bob")
    store.record([_BUY, bob])
    store.record([_RATE, gone, _VIEW])
    store.record([Event(event_id="6", user_id="bob", item_id="", event="", value=None, time=1, retracts="5")])
    found, after = list[Listed](), ""
    while page := store.page(after, size).events:
        found += page
        after = page[-1].place
    assert {one.event.user_id: one.event for one in found if one.event.user_id == "bob"} == {"bob": bob}
    of_ann = [one for one in found if one.event.user_id == "ann"]
    assert [one.event for one in of_ann] == [_VIEW, _BUY, _RATE]
    assert [one.position for one in of_ann] == [5, 1, 3]
    assert store.page("", 1).position == 6


@pytest.mark.parametrize("place", ["x", "[1]", '["a", 1, "b"]', '[1, 99999999999999999999, "b"]', "null", "[" * 9999])
def test_a_place_of_nowhere_is_refused(store: EventStore, place: str) -> None:
    """Proves that a caller cannot make a page of something else."""
    with pytest.raises(ValueError):  # noqa: PT011 - of any text
        store.page(place, 1)
