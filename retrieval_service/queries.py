"""Queries in the caller's ids, and their answers."""

from dataclasses import dataclass

from shortlist.degraded import Degraded
from shortlist.inference.retrieval import Retrieved
from shortlist.inference.users import Unknown, UserQuery


@dataclass(frozen=True, kw_only=True)
class IdQuery:
    """A query in the caller's ids: for a user, or for neighbours of ``similar_to`` when that is not empty.

    ``exclude`` are ids that may not be found; ``keep_seen`` lets items of the user's history be found. ``deadline`` is
    in the seconds of ``time.monotonic``. ``min_position`` is the position that the live history must have; 0 is any.
    """

    user: UserQuery
    similar_to: tuple[str, ...] = ()
    limit: int
    exclude: tuple[str, ...] = ()
    keep_seen: bool = False
    deadline: float
    min_position: int = 0


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The candidates, how much of the query the bundle does not know, and why they lack the user's live history.

    ``live_position`` is that of the live history that the candidates know, 0 for none.
    """

    retrieved: Retrieved
    unknown: Unknown
    live_position: int = 0
    degraded: Degraded | None = None
