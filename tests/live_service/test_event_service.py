"""EventService on a real socket: outcomes, refusals one by one, and the limits of calls."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from live_service.settings import Retention
from shortlist.errors import InvalidRequest, Unavailable
from shortlist.live.v1 import event_service_pb2 as pb
from shortlist.live.v1.event_service_pb2_grpc import EventServiceStub
from shortlist.observability import metrics
from shortlist.status import read_error
from shortlist.user_hash import user_hash
from tests.support.in_process import live_address

_NOW = int(time.time())
_OUTCOMES = pb.EventOutcome


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventServiceStub]:
    """A live service that keeps events for 30 days."""
    store = tmp_path_factory.mktemp("live") / "events.sqlite"
    with live_address(store, Retention(days=30)) as address, grpc.insecure_channel(address) as channel:
        yield EventServiceStub(channel)


def event(event_id: str, user_id: str = "ann", item_id: str = "lamp", seconds: int = _NOW) -> pb.Event:
    return pb.Event(event_id=event_id, user_id=user_id, item_id=item_id, event="view", time=Timestamp(seconds=seconds))


def changed(change: Callable[[pb.Event], object]) -> pb.Event:
    message = event("changed")
    change(message)
    return message


def test_a_call_records_the_good_events_and_says_what_is_wrong_with_the_others(live: EventServiceStub) -> None:
    """Proves that statuses are in the order of the events."""
    request = pb.RecordEventsRequest(
        events=[event("m1", "mix"), event("", "mix"), event("m2", "mix", "rug"), event("m1", "mix"), event("m1", "bob")]
    )
    response = live.RecordEvents(request)
    assert [_OUTCOMES.Name(status.outcome).removeprefix("EVENT_OUTCOME_") for status in response.statuses] == [
        "RECORDED",
        "REFUSED",
        "RECORDED",
        "DUPLICATE",
        "CONFLICT",
    ]
    assert response.statuses[1].field == "event_id"
    found = live.GetHistories(pb.GetHistoriesRequest(user_ids=["mix"], limit=5, min_position=response.position))
    assert {item.item_id for item in found.histories[0].items} == {"lamp", "rug"}
    assert found.position >= response.position


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (event("x" * 257), "event_id"),
        (event("a\0b"), "event_id"),
        (event("1", user_id=""), "user_id"),
        (event("1", item_id=""), "item_id"),
        (event("1", seconds=_NOW + 3600), "time"),
        (event("1", seconds=_NOW - 31 * 86_400), "time"),
        (event("1", seconds=-1), "time"),
        (changed(lambda one: one.ClearField("time")), "time"),
        (changed(lambda one: setattr(one.time, "nanos", -1)), "time.nanos"),
        (changed(lambda one: setattr(one, "value", math.nan)), "value"),
        (changed(lambda one: setattr(one, "value", 1e39)), "value"),
        (changed(lambda one: setattr(one, "retracts", "other")), "retracts"),
        (changed(lambda one: one.shown.add(item_id="")), "shown[0].item_id"),
        (changed(lambda one: one.shown.add(item_id="a", position=-1)), "shown[0].position"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_event_is_refused_by_itself(live: EventServiceStub, message: pb.Event, field: str) -> None:
    """Proves that the status names the field, and that nothing is recorded of the event."""
    before = live.GetHistories(pb.GetHistoriesRequest(user_ids=["ann"], limit=1)).position
    response = live.RecordEvents(pb.RecordEventsRequest(events=[message]))
    assert [(status.outcome, status.field) for status in response.statuses] == [(pb.EVENT_OUTCOME_REFUSED, field)]
    assert response.statuses[0].description
    assert response.position == before


def test_an_event_of_a_minute_ahead_is_taken(live: EventServiceStub) -> None:
    """Proves that clocks may differ a little."""
    response = live.RecordEvents(pb.RecordEventsRequest(events=[event("ahead", seconds=int(time.time()) + 55)]))
    assert response.statuses[0].outcome == pb.EVENT_OUTCOME_RECORDED


@pytest.mark.parametrize(
    ("ask", "field"),
    [
        (lambda live: live.RecordEvents(pb.RecordEventsRequest()), "events"),
        (lambda live: live.RecordEvents(pb.RecordEventsRequest(events=[event("1")] * 1001)), "events"),
        (lambda live: live.GetHistories(pb.GetHistoriesRequest(limit=1)), "user_ids"),
        (lambda live: live.GetHistories(pb.GetHistoriesRequest(user_ids=["a"] * 101, limit=1)), "user_ids"),
        (lambda live: live.GetHistories(pb.GetHistoriesRequest(user_ids=[""], limit=1)), "user_ids[0]"),
        (lambda live: live.GetHistories(pb.GetHistoriesRequest(user_ids=["a"], limit=0)), "limit"),
        (lambda live: live.GetHistories(pb.GetHistoriesRequest(user_ids=["a"], limit=5001)), "limit"),
        (lambda live: live.GetHistories(pb.GetHistoriesRequest(user_ids=["a"] * 5, limit=5000)), "limit"),
        (lambda live: live.GetHistories(pb.GetHistoriesRequest(user_ids=["a"], limit=1, min_position=-1)), "min_posi"),
        (lambda live: live.GetHistories(pb.GetHistoriesRequest(user_ids=["a"], limit=1, after_position=-1)), "after_p"),
        (lambda live: live.ForgetUser(pb.ForgetUserRequest()), "user_id"),
    ],
)
def test_a_call_out_of_bounds_is_refused(
    live: EventServiceStub, ask: Callable[[EventServiceStub], object], field: str
) -> None:
    """Proves that the error names the field."""
    with pytest.raises(grpc.RpcError) as raised:
        ask(live)
    error = read_error(raised.value)
    assert isinstance(error, InvalidRequest)
    assert error.violations[0].field.startswith(field)


def test_a_position_that_is_not_reached_is_unavailable(live: EventServiceStub) -> None:
    """Proves that the answer says when to try again."""
    with pytest.raises(grpc.RpcError) as raised:
        live.GetHistories(pb.GetHistoriesRequest(user_ids=["ann"], limit=1, min_position=10**12))
    error = read_error(raised.value)
    assert isinstance(error, Unavailable)
    assert error.retry_seconds > 0


def test_a_forgotten_user_is_gone(live: EventServiceStub) -> None:
    """Proves that the answer says how many events there were."""
    live.RecordEvents(pb.RecordEventsRequest(events=[event("f1", "gone"), event("f2", "gone")]))
    assert live.ForgetUser(pb.ForgetUserRequest(user_id="gone")).deleted_event_count == 2
    assert not live.GetHistories(pb.GetHistoriesRequest(user_ids=["gone"], limit=5)).histories[0].items


def test_forgotten_users_are_listed(live: EventServiceStub) -> None:
    """Proves that hashes, positions and times come, and that a position before 0 is refused."""
    position = live.ForgetUser(pb.ForgetUserRequest(user_id="listed")).position
    found = live.GetForgotten(pb.GetForgottenRequest(after_position=position - 1))
    [user] = found.users
    assert (user.user_hash, user.position) == (user_hash(found.hash_key, "listed"), position)
    assert abs(user.time.seconds - time.time()) < 60
    assert (found.position >= position, found.has_more) == (True, False)
    [history] = live.GetHistories(pb.GetHistoriesRequest(user_ids=["listed"], limit=1)).histories
    assert history.forgotten_position == position
    with pytest.raises(grpc.RpcError, match="after_position"):
        live.GetForgotten(pb.GetForgottenRequest(after_position=-1))


def test_late_events_are_counted(live: EventServiceStub) -> None:
    """Proves it for events before the time of the latest reader, once each, and not where a position cuts."""

    def late_after(ask: pb.GetHistoriesRequest, number: int) -> float:
        live.GetHistories(ask)
        before = metrics.LATE_EVENTS._value.get()
        events = [event(f"late-{number}-{place}", "late", seconds=_NOW - place) for place in (0, 10, 10, 20)]
        live.RecordEvents(pb.RecordEventsRequest(events=events))
        return float(metrics.LATE_EVENTS._value.get() - before)

    ask = pb.GetHistoriesRequest(user_ids=["late"], limit=1)
    cut = pb.GetHistoriesRequest(user_ids=["late"], limit=1, after=Timestamp(seconds=_NOW - 10))
    assert [late_after(cut, 0), late_after(ask, 1)] == [2, 0]


def test_old_events_are_trimmed_when_the_service_starts(tmp_path: Path) -> None:
    """Proves it for events that were young enough when they came."""
    store = tmp_path / "events.sqlite"
    for days, expected in ((30, 2), (1, 1)):
        with live_address(store, Retention(days=days)) as address, grpc.insecure_channel(address) as channel:
            stub = EventServiceStub(channel)
            events = [event("old", seconds=_NOW - 10 * 86_400), event("new")]
            stub.RecordEvents(pb.RecordEventsRequest(events=events))
            ask = pb.GetHistoriesRequest(user_ids=["ann"], limit=5)
            end = time.monotonic() + 10
            while len(stub.GetHistories(ask).histories[0].items) != expected and time.monotonic() < end:
                time.sleep(0.01)
            assert len(stub.GetHistories(ask).histories[0].items) == expected


def test_all_events_are_listed_in_pages_that_a_message_holds(live: EventServiceStub) -> None:
    """Proves that long events make shorter pages, and that none is lost between them."""
    shown = [pb.ShownItem(item_id=f"{number:0250}", position=number) for number in range(1000)]
    for number in range(10):
        long = pb.Event(event_id=f"long-{number}", user_id="long", shown=shown, recommendation_id="r", value=0.0)
        long.time.GetCurrentTime()
        live.RecordEvents(pb.RecordEventsRequest(events=[long]))
    request, found = pb.ListEventsRequest(page_size=1000), list[pb.ListedEvent]()
    while not found or request.page_token:
        page = live.ListEvents(request)
        assert page.ByteSize() < 4 * 2**20
        found += page.events
        request.page_token = page.next_page_token
    long_ones = [one.event for one in found if one.event.user_id == "long"]
    assert [one.event_id for one in long_ones] == [f"long-{number}" for number in range(10)]
    assert [*long_ones[0].shown] == shown
    assert long_ones[0].HasField("value")
    assert len({one.event.event_id for one in found}) == len(found)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.ListEventsRequest(), "page_size"),
        (pb.ListEventsRequest(page_size=1001), "page_size"),
        (pb.ListEventsRequest(page_size=1, page_token="x"), "page_token"),  # noqa: S106
    ],
    ids=["none", "too many", "no page"],
)
def test_a_page_out_of_bounds_is_refused(live: EventServiceStub, request_: pb.ListEventsRequest, field: str) -> None:
    """Proves that the field is named."""
    with pytest.raises(grpc.RpcError) as raised:
        live.ListEvents(request_)
    error = read_error(raised.value)
    assert isinstance(error, InvalidRequest)
    assert error.violations[0].field == field
