"""Events and the outcomes of their recording, as the caller's dataclasses, and their messages."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from shortlist.client.arguments import Id, read_id, read_list, read_number, read_sequence, read_text, read_time
from shortlist.client.messages import HistoryItem
from shortlist.live.v1 import event_service_pb2 as pb


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that a user did, or takes back.

    ``user_id`` and ``item_id`` are texts or whole numbers. ``event`` is its kind and ``value`` its value, as in the
    training data. ``time`` is when it happened, now by default; a time without a zone is UTC. ``event_id`` makes it
    unique: the same event twice is recorded once. By default it is a new one. ``recommendation_id`` is that of the list
    that the user acted on. ``shown`` has the items that the user was shown, in the order of the page. ``retracts`` is
    the id of the event that this one takes back, which then has a user alone.
    """

    user_id: Id
    item_id: Id = ""
    event: str = ""
    value: float | None = None
    time: datetime | None = None
    event_id: str = ""
    recommendation_id: str = ""
    shown: Sequence[Id] = ()
    retracts: str = ""


@dataclass(frozen=True, kw_only=True)
class EventStatus:
    """The ``outcome`` of an event: "recorded", "duplicate", "conflict" or "refused".

    A conflict is an event whose id another event has. ``field`` and ``description`` say why an event was refused.
    """

    event_id: str
    outcome: str
    field: str = ""
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """The outcome of each event, in order, and the ``position`` that a list has to know them by."""

    position: int
    statuses: Sequence[EventStatus]


@dataclass(frozen=True, kw_only=True)
class RecordedHistory:
    """The recorded interactions of a user, oldest first, as of a ``position`` of the live service."""

    position: int
    items: Sequence[HistoryItem]


@dataclass(frozen=True, kw_only=True)
class Forgotten:
    """How many events of a user were deleted, and the ``position`` of the live service without them."""

    deleted: int
    position: int


_OUTCOMES: Mapping[int, str] = {
    pb.EVENT_OUTCOME_RECORDED: "recorded",
    pb.EVENT_OUTCOME_DUPLICATE: "duplicate",
    pb.EVENT_OUTCOME_CONFLICT: "conflict",
    pb.EVENT_OUTCOME_REFUSED: "refused",
}


def record_request(events: Sequence[Event]) -> pb.RecordEventsRequest:
    """The message of events."""
    listed = enumerate(read_list(events, "events"))
    return pb.RecordEventsRequest(events=[_event_message(event, f"events[{place}]") for place, event in listed])


def read_recorded(request: pb.RecordEventsRequest, response: pb.RecordEventsResponse) -> Recorded:
    """The outcomes in the caller's dataclasses."""
    statuses = tuple(
        EventStatus(
            event_id=event.event_id,
            outcome=_OUTCOMES.get(status.outcome, "unknown"),
            field=status.field,
            description=status.description,
        )
        for event, status in zip(request.events, response.statuses, strict=True)
    )
    return Recorded(position=response.position, statuses=statuses)


def read_recorded_history(response: pb.GetHistoriesResponse) -> RecordedHistory:
    """The history of one user in the caller's dataclasses."""
    [history] = response.histories
    items = tuple(
        HistoryItem(
            item_id=item.item_id,
            time=item.time.ToDatetime(UTC),
            event=item.event,
            value=item.value if item.HasField("value") else None,
        )
        for item in history.items
    )
    return RecordedHistory(position=response.position, items=items)


def _event_message(event: Event, name: str) -> pb.Event:
    if not isinstance(event, Event):
        raise TypeError(f"{name} is of type {type(event).__name__}; give an Event")
    shown = enumerate(read_sequence(event.shown, f"{name}.shown"))
    moment = Timestamp()
    moment.FromDatetime(datetime.now(UTC) if event.time is None else read_time(event.time, f"{name}.time"))
    return pb.Event(
        event_id=read_text(event.event_id, f"{name}.event_id") or str(uuid.uuid4()),
        user_id=read_id(event.user_id, f"{name}.user_id"),
        item_id=read_id(event.item_id, f"{name}.item_id"),
        event=read_text(event.event, f"{name}.event"),
        value=None if event.value is None else read_number(event.value, f"{name}.value"),
        time=moment,
        recommendation_id=read_text(event.recommendation_id, f"{name}.recommendation_id"),
        shown=[pb.ShownItem(item_id=read_id(item, f"{name}.shown[{place}]"), position=place) for place, item in shown],
        retracts=read_text(event.retracts, f"{name}.retracts"),
    )
