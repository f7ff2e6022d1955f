"""From a user in the caller's ids to a user in rows of the bundle."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shortlist.bundle.bundle import Bundle
from shortlist.bundle.history import EMPTY_HISTORY, History
from shortlist.bundle.ids import rows_of
from shortlist.inference.live_items import LiveItems
from shortlist.inference.rows import NO_ROWS, union_of


@dataclass(frozen=True, kw_only=True)
class IdHistory:
    """Interactions in ids, oldest first. ``values`` are NaN where not given; the sequences have the same length."""

    item_ids: tuple[str, ...] = ()
    values: tuple[float, ...] = ()
    events: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.item_ids)


NO_INTERACTIONS = IdHistory()


@dataclass(frozen=True, kw_only=True)
class UserQuery:
    """A user in the caller's ids, with the ``history`` of the call.

    ``append`` adds that history to the stored one instead of replacing it. ``recorded`` are interactions since the
    bundle was trained; they add to the stored history. ``is_forgotten`` keeps everything out that the bundle knows of
    the user.
    """

    user_id: str = ""
    history: IdHistory = NO_INTERACTIONS
    append: bool = False
    recorded: IdHistory = NO_INTERACTIONS
    is_forgotten: bool = False


@dataclass(frozen=True, kw_only=True)
class Unknown:
    """Counts of names that a bundle does not know: ids of items, events of a history, names and texts of a context."""

    items: int = 0
    events: int = 0
    context: int = 0

    def __add__(self, other: "Unknown") -> "Unknown":
        return Unknown(
            items=self.items + other.items, events=self.events + other.events, context=self.context + other.context
        )


@dataclass(frozen=True, kw_only=True)
class ResolvedUser:
    """A user in rows of the bundle.

    ``history`` is the history that the models see; it is empty when none is known. ``seen`` are the rows, ascending,
    that the ``seen_events`` make seen, in all known interactions, rows of live items too. ``features`` ``[1, user
    features]`` are zeros when the bundle does not describe the user. ``unknown`` counts the items and the events of the
    history that the bundle does not have.
    """

    history: History
    seen: NDArray[np.int64]
    features: NDArray[np.float32]
    unknown: Unknown

    @property
    def is_described(self) -> bool:
        """Whether the bundle has features of the user."""
        return bool(self.features.any())


def resolve_user(bundle: Bundle, query: UserQuery, live_items: LiveItems | None = None) -> ResolvedUser:
    """The user with the history sent in the call, else with the stored history, else with none.

    A history that is appended follows the stored one, of which the bundle has the order and no times. An interaction
    that both have is there twice: nothing tells a repetition from the same interaction, known already.
    """
    is_known = query.user_id and not query.is_forgotten
    row = bundle.users.row_of(query.user_id) if is_known else None
    stored = EMPTY_HISTORY if row is None else bundle.users.history_of(row)
    sent, seen_live, unknown = _known(bundle, query.history, live_items)
    if query.recorded:
        recorded, seen_since, unknown_since = _known(bundle, query.recorded, live_items)
        stored, unknown = stored.then(recorded), unknown + unknown_since
        seen_live = union_of(seen_live, seen_since)
    replacing = sent if len(sent) else stored
    return ResolvedUser(
        history=stored.then(sent) if query.append else replacing,
        seen=union_of(bundle.seen_events.rows_of(sent), bundle.seen_events.rows_of(stored), seen_live),
        features=_features(bundle, row),
        unknown=unknown,
    )


def excluded_rows(
    bundle: Bundle,
    user: ResolvedUser,
    exclude: Sequence[str],
    *,
    keep_seen: bool,
    live_items: LiveItems | None = None,
) -> tuple[NDArray[np.int64], int]:
    """The rows, ascending, that may not be in the answer, and how many ids of ``exclude`` nobody knows."""
    seen = user.seen[:0] if keep_seen else user.seen
    if not exclude:
        return seen, 0
    known, unknown = known_rows(bundle, exclude, live_items)
    return union_of(seen, known), unknown


def known_rows(
    bundle: Bundle, item_ids: Sequence[str], live_items: LiveItems | None = None
) -> tuple[NDArray[np.int64], int]:
    """The rows of the ids that the bundle has, or the live items, and how many ids neither has."""
    rows = rows_of(bundle.items.ids, item_ids)
    if live_items:
        rows = np.where(rows < 0, live_items.rows_of(item_ids), rows)
    known = rows[rows >= 0]
    return known, len(rows) - len(known)


def _known(
    bundle: Bundle, given: IdHistory, live_items: LiveItems | None
) -> tuple[History, NDArray[np.int64], Unknown]:
    """The interactions that the models know, the rows of live items that the others make seen, and their number."""
    if not given:
        return EMPTY_HISTORY, NO_ROWS, Unknown()
    rows = rows_of(bundle.items.ids, given.item_ids)
    known = rows >= 0
    places = {name: place + 1 for place, name in enumerate(bundle.manifest.event_names)}
    events = np.array([places.get(event, 0) for event in given.events], dtype=np.int64)
    history = History(
        rows=rows[known].astype(np.int32),
        values=np.array(given.values, dtype=np.float32)[known],
        events=events[known],
    )
    unknown = Unknown(
        items=int(np.count_nonzero(~known)), events=sum(event not in places for event in given.events if event)
    )
    if not (live_items and unknown.items):
        return history, NO_ROWS, unknown
    live = live_items.rows_of(given.item_ids)
    return history, np.unique(live[(live >= 0) & bundle.seen_events.among(events)]), unknown


def _features(bundle: Bundle, row: int | None) -> NDArray[np.float32]:
    if row is None:
        return np.zeros((1, bundle.users.features.shape[1]), dtype=np.float32)
    return np.asarray(bundle.users.features[row : row + 1])
