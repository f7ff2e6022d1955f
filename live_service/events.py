"""Events in the service's own types."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias

from live_service.committed import Committed


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Something that a user did, or takes back; the fields are those of ``shortlist.live.v1.Event``.

    ``time`` is in nanoseconds since 1970. ``value`` is None where there is none. ``shown`` has the items with their
    places on the page. ``retracts`` is the id of the event that this one takes back, empty in any other event.
    """

    event_id: str
    user_id: str
    item_id: str
    event: str
    value: float | None
    time: int
    recommendation_id: str = ""
    shown: tuple[tuple[str, int], ...] = ()
    retracts: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Interaction:
    """An event of a history: an item, and its event, value and time, as in :class:`Event`."""

    item_id: str
    event: str
    value: float | None
    time: int


class Outcome(Enum):
    """The outcome of a checked event, as in ``shortlist.live.v1.EventOutcome``."""

    RECORDED = auto()
    DUPLICATE = auto()
    CONFLICT = auto()


Recorded: TypeAlias = Committed[Outcome]
"""The outcome of each event, and the position of the store that holds them."""


@dataclass(frozen=True, kw_only=True)
class Histories:
    """The histories of several users, each oldest first, as of one ``position``.

    ``forgotten`` has for each user the position at which they were last forgotten, 0 for never.
    """

    position: int
    histories: Sequence[Sequence[Interaction]]
    forgotten: Sequence[int]


@dataclass(frozen=True, kw_only=True)
class Forgotten:
    """How many events of a user were deleted, and the position of the store without them."""

    deleted: int
    position: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ForgottenUser:
    """The keyed ``hash`` of an id, and when the user was last forgotten: position, and nanoseconds since 1970."""

    hash: bytes
    position: int
    time: int


@dataclass(frozen=True, kw_only=True)
class ForgottenUsers:
    """Users who were forgotten, by position; all up to ``position``. ``hash_key`` is the key of the hashes."""

    position: int
    hash_key: bytes
    users: Sequence[ForgottenUser]
    has_more: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """A recorded ``event``, the ``position`` that it came with, and its ``place`` in the list of all events."""

    event: Event
    position: int
    place: str


@dataclass(frozen=True, kw_only=True)
class Page:
    """Some of all events, as of one ``position``; fewer than were asked for at the end of the list."""

    position: int
    events: Sequence[Listed]
