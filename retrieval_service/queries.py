"""Queries in the caller's ids."""

from dataclasses import dataclass

from shortlist.inference.users import UserQuery


@dataclass(frozen=True, kw_only=True)
class IdQuery:
    """A query in the caller's ids: for a user, or for neighbours of ``similar_to`` when that is not empty.

    ``exclude`` are ids that may not be found; ``keep_seen`` lets items of the user's history be found.
    """

    user: UserQuery
    similar_to: tuple[str, ...] = ()
    limit: int
    exclude: tuple[str, ...] = ()
    keep_seen: bool = False
