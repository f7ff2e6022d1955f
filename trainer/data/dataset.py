"""The data set: events in time order, and a row and features for each user and item."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from itertools import pairwise
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shortlist.bundle.history import SeenEvents
from trainer.data.arrays import array, chunks, taken
from trainer.data.impressions import Impressions
from trainer.data.learnt_columns import KINDS, Column, LearntColumns

Ids = NDArray[np.bytes_]
Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]
_VALUES = 1_000_000
_NEVER = 2**63 - 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Features:
    """Numbers that describe each user or item; zeros for one that is not in its table."""

    names: tuple[str, ...]
    """[F], such as `genres=Comedy`, `year`, `year[3]`, `title~0`, `cover.0`."""
    kinds: tuple[str, ...]
    """[F], each `categorical`, `multi_valued`, `numeric`, `text`, `sentences` or `vectors`."""
    matrix: Floats
    """[n, F]."""
    learnt: Mapping[str, Column] = field(default_factory=dict)
    """By `kind:column`, the learnt columns that transform other rows."""

    @property
    def is_content(self) -> Flags:
        """[F]: the columns of categories, by which an item can match a user's history."""
        return np.array([kind in ("categorical", "multi_valued") for kind in self.kinds], dtype=np.bool_)

    @property
    def columns(self) -> dict[str, slice]:
        """By the name of each column of the table, its features."""
        groups = [
            (KINDS[kind].separator.split(name)[0], kind) for name, kind in zip(self.names, self.kinds, strict=True)
        ]
        starts = [place for place, column in enumerate(groups) if place == 0 or column != groups[place - 1]]
        found: dict[str, slice] = {}
        for start, end in pairwise([*starts, len(groups)]):
            # One column may be of two kinds.
            name, kind = groups[start]
            found[name if name not in found else f"{name} ({kind})"] = slice(start, end)
        return found


@dataclass(frozen=True, kw_only=True)
class DataCounts:
    """How much was read. `interactions` excludes the `duplicates_dropped`, of the same user, item, time and event."""

    interactions: int
    users: int
    items: int
    duplicates_dropped: int
    items_without_interactions: int
    items_without_row: int = 0
    """Items and users that are in the interactions and have no usable row in their table, where there is one."""
    users_without_row: int = 0
    items_unavailable: int = 0
    """Items of the item table that lists may not hold."""


@dataclass(frozen=True, kw_only=True, eq=False)
class EventArrays:
    """N events in time order; see `trainer.data.events.event_arrays` for those of one time."""

    user_rows: Ints
    """[N], as are the others."""
    item_rows: Ints
    times: Ints
    """Nanoseconds since 1970. Where rows are in order without times, a row is a second."""
    values: Floats
    """NaN where there is no value column."""
    events: Ints
    """1 + the position in the event names; 0 where there is no event column."""
    likes: Flags
    """As the recipe defines a like."""

    def known_values(self, end: int) -> Floats:
        """Values of events before `end`, without NaN; a subsample of at most a million."""
        values = self.values[: end : max(1, math.ceil(end / _VALUES))]
        return values[np.isfinite(values)]


@dataclass(frozen=True, kw_only=True, eq=False)
class Histories:
    """The events by user and then by time, so that a history is one slice, in memory and on disk."""

    item_rows: NDArray[np.int32]
    """[N], as are the others."""
    values: Floats
    events: NDArray[np.uint16]
    likes: Flags

    def at(self, places: Ints) -> Self:
        """Some of them."""
        return type(self)(**{name: column[places] for name, column in vars(self).items()})

    @classmethod
    def of(cls, events: EventArrays, order: Ints) -> Self:
        """The events in an order, such as a data set's `user_events`."""
        return cls(
            item_rows=taken(events.item_rows, order, np.int32),
            values=taken(events.values, order, np.float32),
            events=taken(events.events, order, np.uint16),
            likes=taken(events.likes, order, np.bool_),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset(EventArrays):
    """N events of U users with I items. A row is a position in `user_ids` or `item_ids`."""

    user_ids: Ids
    """[U], ascending bytewise: those with events and those in the user table."""
    item_ids: Ids
    """[I], ascending bytewise, so that serving finds a row by binary search; items without events included."""
    event_names: tuple[str, ...]
    seen_events: SeenEvents

    user_offsets: Ints
    """[U + 1]: user u's events are `user_events[user_offsets[u] : user_offsets[u + 1]]`."""
    user_events: Ints
    """[N], positions in the event arrays, by user and then by time."""
    position: Ints
    """[N]: how many events of the same user are strictly before it in time. They are its history."""
    histories: Histories
    """[N] events in the order of `user_events`."""

    item_features: Features
    user_features: Features
    item_table: pl.DataFrame
    """[I] rows, the item table's own columns, the id as text; nulls for items it does not have."""
    counts: DataCounts
    listed: Flags
    """[I]: the items that lists may hold. Histories may hold the others, too."""
    impressions: Impressions | None = None
    forgotten_position: int | None = None
    """The position of the list of forgotten users that were left out; None without a list."""
    known_position: int | None = None
    """The position of the live service that all of the data was read at; None where it may come from elsewhere."""
    warnings: tuple[str, ...] = ()
    """Sentences about rows, ids and columns that were dropped, merged or unmatched, or that gave nothing."""

    @cached_property
    def places(self) -> Ints:
        """[N]: the place of each event in `user_events`, and so in the histories."""
        places = array(len(self.user_events), np.int64)
        for chunk in chunks(len(places)):
            places[self.user_events[chunk]] = np.arange(chunk.start, chunk.stop)
        return places

    @property
    def tied(self) -> int:
        """How many events have the time of another event of their user."""
        count, last = 0, False
        for chunk in chunks(len(self.user_events)):
            tied = self.has_time_of_previous(np.arange(chunk.start, chunk.stop))
            # The first event of each group has no such previous event, but is one of the group.
            count += int(tied.sum() + (tied & ~np.append(last, tied[:-1])).sum())
            last = bool(tied[-1])
        return count

    @cached_property
    def known_user_features(self) -> Floats:
        """The users' features and a one, [U, F + 1]; an unknown user would have zeros throughout."""
        return np.hstack([self.user_features.matrix, np.ones((len(self.user_ids), 1), dtype=np.float32)])

    @property
    def learnt_columns(self) -> LearntColumns:
        """The columns that transform other tables of the same form."""
        return LearntColumns(items=self.item_features.learnt, users=self.user_features.learnt)

    def in_order(self, order: Ints) -> Self:
        """The same events in another order [N], or some of them, which stands for time from then on."""
        events = EventArrays(**{one.name: getattr(self, one.name)[order] for one in fields(EventArrays)})
        offsets, user_events, position = group_by_user(events.user_rows, events.times, len(self.user_ids))
        return replace(
            self,
            **vars(events),
            user_offsets=offsets,
            user_events=user_events,
            position=position,
            histories=Histories.of(events, user_events),
            counts=replace(self.counts, interactions=len(order)),
            # Impressions are found by their time, which the new order replaces.
            impressions=None,
        )

    def has_time_of_previous(self, places: Ints) -> Flags:
        """Whether the event at each place of the histories has the time of the event before it, of the same user."""
        events = self.user_events[places]
        return np.asarray(self.user_offsets[self.user_rows[events]] + self.position[events] < places)

    def time_of(self, event: int) -> int:
        """The time of an event; the event behind the last is later than anything."""
        return int(self.times[event]) if event < len(self.times) else _NEVER

    def until(self, time: int) -> int:
        """How many events are strictly before a time."""
        return int(np.searchsorted(self.times, time, side="left"))


def group_by_user(user_rows: Ints, times: Ints, users: int) -> tuple[Ints, Ints, Ints]:
    """Dataset's `user_offsets` [users + 1], `user_events` [N] and `position` [N] from its `user_rows` and `times` [N].

    A counting sort, whose memory does not grow with N.
    """
    offsets = np.zeros(users + 1, dtype=np.int64)
    for chunk in chunks(len(user_rows)):
        offsets[1:] += np.bincount(user_rows[chunk], minlength=users)
    np.cumsum(offsets, out=offsets)
    events, position = array(len(user_rows), np.int64), array(len(user_rows), np.int64)
    filled = np.zeros(users, dtype=np.int64)
    for chunk in chunks(len(user_rows)):
        order = np.argsort(user_rows[chunk], kind="stable")
        counts = np.bincount(user_rows[chunk], minlength=users)
        earlier = np.arange(len(order)) + np.repeat(filled - np.cumsum(counts) + counts, counts)
        events[earlier + np.repeat(offsets[:-1], counts)] = chunk.start + order
        position[chunk.start + order] = earlier
        filled += counts
    _share_positions(user_rows, times, events, position)
    return offsets, events, position


def _share_positions(user_rows: Ints, times: Ints, user_events: Ints, position: Ints) -> None:
    """Give events of one user and one time the position of the first of them, in place."""
    for chunk in chunks(len(user_events)):
        # Each chunk begins with the last event of the one before, which has its final position.
        here = user_events[max(chunk.start - 1, 0) : chunk.stop]
        tied = (np.diff(user_rows[here]) == 0) & (np.diff(times[here]) == 0)
        if tied.any():
            first = np.maximum.accumulate(np.where(np.append(False, tied), 0, np.arange(len(here))))
            position[here] = position[here[first]]
