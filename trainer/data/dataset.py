"""What training reads: events in time order, and a row and features for each user and item."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

Ids = NDArray[np.bytes_]
Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class Features:
    """Numbers that describe each user or item; zeros for one that its table does not have."""

    names: tuple[str, ...]
    """[F], such as `genres=Comedy`, `year`, `year[3]`, `title~0`."""
    kinds: tuple[str, ...]
    """[F], each `categorical`, `multi_valued`, `numeric` or `text`."""
    matrix: Floats
    """[n, F]."""

    @property
    def is_content(self) -> Flags:
        """[F]: which columns say that an item has a category, and so can match what a user has liked."""
        return np.array([kind in ("categorical", "multi_valued") for kind in self.kinds], dtype=np.bool_)


@dataclass(frozen=True, kw_only=True)
class DataCounts:
    """How much was read. `interactions` is without the `duplicates_dropped`."""

    interactions: int
    users: int
    items: int
    duplicates_dropped: int
    items_without_interactions: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """N events of U users with I items. A row is a position in `user_ids` or `item_ids`."""

    user_ids: Ids
    """[U], ascending bytewise: those with events and those in the user table."""
    item_ids: Ids
    """[I], ascending bytewise, so that serving finds a row by binary search; items without events included."""

    user_rows: Ints
    """[N]. Events are in time order; those of one second keep the order of the file."""
    item_rows: Ints
    """[N]."""
    times: Ints
    """[N], unix seconds."""
    values: Floats
    """[N], NaN where there is no value column."""
    events: Ints
    """[N], 1 + the position in `event_names`; 0 where there is no event column."""
    event_names: tuple[str, ...]
    likes: Flags
    """[N], as the recipe defines a like."""

    user_offsets: Ints
    """[U + 1]: user u's events are `user_events[user_offsets[u] : user_offsets[u + 1]]`."""
    user_events: Ints
    """[N], positions in the event arrays, by user and then by time."""
    position: Ints
    """[N]: how many earlier events the same user has."""

    item_features: Features
    user_features: Features
    item_table: pl.DataFrame
    """[I] rows, the item table's own columns, the id as text; nulls for items it does not have."""
    counts: DataCounts

    def rows_of_user(self, user_row: int) -> Ints:
        """The positions of one user's events, oldest first."""
        return self.user_events[self.user_offsets[user_row] : self.user_offsets[user_row + 1]]


def group_by_user(user_rows: Ints, users: int) -> tuple[Ints, Ints, Ints]:
    """Dataset's `user_offsets` [users + 1], `user_events` [N] and `position` [N] from its `user_rows` [N]."""
    offsets = np.zeros(users + 1, dtype=np.int64)
    np.cumsum(np.bincount(user_rows, minlength=users), out=offsets[1:])
    events = np.argsort(user_rows, kind="stable")
    position = np.empty_like(events)
    position[events] = np.arange(len(events)) - offsets[user_rows[events]]
    return offsets, events, position
