"""Events as rows of a table, and rows as results; both stores share them."""

import json
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from live_service.events import Event, ForgottenUser, ForgottenUsers, Interaction, Listed, Outcome

HistoryRow = tuple[str, str, float | None, int]
"""Item, event, value and time of an interaction."""
ListedRow = tuple[int, int, str, int, str, str, str, float | None, str, str]
"""User, time, event id, position, user id, item, event, value, recommendation id and shown items of an event."""


class EventRow(NamedTuple):
    """The columns of an event, in the order of both schemas. ``shown`` is JSON, or empty."""

    user: int
    time: int
    event_id: str
    item_id: str
    event: str
    value: float | None
    recommendation_id: str
    shown: str
    retracts: str
    position: int


def event_rows(events: Sequence[Event], users: Sequence[int], before: int) -> list[EventRow]:
    """The rows of events of numbered users; their positions follow the one ``before``."""
    pairs = zip(events, users, strict=True)
    return [_row(event, user, position) for position, (event, user) in enumerate(pairs, start=before + 1)]


def outcomes(rows: Sequence[EventRow], stored: Iterable[tuple[object, ...]]) -> list[Outcome]:
    """The outcome of each row whose insertion was tried, by the ``stored`` rows with the same ids."""
    known = {row[2]: row for row in stored}
    return [_outcome(row, known[row.event_id]) for row in rows]


def retractions(rows: Sequence[EventRow], results: Sequence[Outcome]) -> list[tuple[int, str, int]]:
    """User, id of the event that is taken back, and time, of each recorded event that takes one back."""
    pairs = zip(rows, results, strict=True)
    return [(row.user, row.retracts, row.time) for row, result in pairs if row.retracts and result is Outcome.RECORDED]


def interactions(rows: Iterable[HistoryRow]) -> list[Interaction]:
    """A history, from rows that are oldest first."""
    return [
        Interaction(item_id=item_id, event=event, value=value, time=moment) for item_id, event, value, moment in rows
    ]


def read_place(place: str) -> tuple[int, int, str]:
    """User, time and event id of a place in the list of all events; before the first one when it is empty.

    Raises:
        ValueError: it is no place.
    """
    if not place:
        return -1, 0, ""
    try:
        found = json.loads(place)
    except RecursionError as error:
        raise ValueError("no place in the list of events") from error
    match found:
        case [int(user), int(time), str(event_id)] if max(abs(user), abs(time)) < 2**63:
            return user, time, event_id
    raise ValueError("no place in the list of events")


def listed(row: ListedRow) -> Listed:
    """An event of the list of all events."""
    user, time, event_id, position, user_id, item_id, event, value, recommendation_id, shown = row
    return Listed(
        event=Event(
            event_id=event_id,
            user_id=user_id,
            item_id=item_id,
            event=event,
            value=value,
            time=time,
            recommendation_id=recommendation_id,
            shown=tuple((item, place) for item, place in json.loads(shown)) if shown else (),
        ),
        position=position,
        place=json.dumps([user, time, event_id]),
    )


def forgotten_users(
    rows: Iterable[tuple[bytes, int, int]], *, hash_key: bytes, limit: int, position: int
) -> ForgottenUsers:
    """At most ``limit`` forgotten users, from hashes, positions and times by position; ``position`` is the store's."""
    users = [ForgottenUser(hash=known, position=place, time=moment) for known, place, moment in rows]
    has_more = len(users) == limit
    complete = users[-1].position if has_more else position
    return ForgottenUsers(position=complete, hash_key=hash_key, users=users, has_more=has_more)


def _row(event: Event, user: int, position: int) -> EventRow:
    return EventRow(
        user=user,
        time=event.time,
        event_id=event.event_id,
        item_id=event.item_id,
        event=event.event,
        value=event.value,
        recommendation_id=event.recommendation_id,
        shown=json.dumps(event.shown, separators=(",", ":"), ensure_ascii=False) if event.shown else "",
        retracts=event.retracts,
        position=position,
    )


def _outcome(row: EventRow, known: tuple[object, ...]) -> Outcome:
    if row == known:
        return Outcome.RECORDED
    return Outcome.DUPLICATE if row[:-1] == known[:-1] else Outcome.CONFLICT
