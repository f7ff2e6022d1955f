"""Histories of users before an event or a time, as slices of the data set's."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from shortlist.bundle.history import History
from shortlist.inference.model_inputs import LatestFirst
from trainer.data import Dataset
from trainer.data.dataset import Histories


@dataclass(frozen=True, kw_only=True, eq=False)
class HistorySlices:
    """n histories, each a slice of ``data`` from ``starts`` to ``ends`` ``[n]``.

    The place ``without`` ``[n]`` is left out of the slice; -1 leaves out nothing.
    """

    data: Histories
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    without: NDArray[np.int64]

    @classmethod
    def before(cls, dataset: Dataset, events: NDArray[np.int64] | Sequence[int]) -> Self:
        """The events of each event's user that are strictly before it in time."""
        starts = dataset.user_offsets[dataset.user_rows[events]]
        ends = starts + dataset.position[events]
        return cls(data=dataset.histories, starts=starts, ends=ends, without=np.full(len(events), -1))

    @classmethod
    def before_times(cls, dataset: Dataset, users: NDArray[np.int64], times: NDArray[np.int64]) -> Self:
        """The history of each user, -1 for an unknown user, strictly before a time ``[n]``."""
        places = dataset.user_rows[dataset.user_events] * len(dataset.times) + dataset.user_events
        known = np.maximum(users, 0)
        starts = np.where(users >= 0, dataset.user_offsets[known], 0)
        events = np.searchsorted(dataset.times, times, side="left")
        ends = np.where(users >= 0, np.searchsorted(places, known * len(dataset.times) + events), 0)
        return cls(data=dataset.histories, starts=starts, ends=ends, without=np.full(len(users), -1))

    @classmethod
    def whole(cls, dataset: Dataset, users: NDArray[np.int64], left_out: NDArray[np.int64]) -> Self:
        """All items of each user, each once, for data without times; without the item ``left_out`` ``[n]``, -1 for
        none."""
        items = len(dataset.item_ids)
        owners = np.repeat(np.arange(len(dataset.user_ids)), np.diff(dataset.user_offsets))
        pairs, first = np.unique(owners * items + dataset.histories.item_rows, return_index=True)
        known = np.maximum(users, 0)
        keys = known * items + left_out
        at = np.minimum(np.searchsorted(pairs, keys), len(pairs) - 1)
        there = (users >= 0) & (left_out >= 0) & (pairs[at] == keys)
        return cls(
            data=dataset.histories.at(first),
            starts=np.searchsorted(pairs, known * items),
            ends=np.where(
                users >= 0, np.searchsorted(pairs, (known + 1) * items), np.searchsorted(pairs, known * items)
            ),
            without=np.where(there, at, -1),
        )

    def __len__(self) -> int:
        return len(self.starts)

    def at(self, places: NDArray[np.int64]) -> Self:
        """Some of the histories."""
        return replace(self, starts=self.starts[places], ends=self.ends[places], without=self.without[places])

    def latest_first(self, length: int) -> LatestFirst:
        """The last ``length`` interactions of each history, in the ranker's order."""
        starts, ends, without = self.starts[:, None], self.ends[:, None], self.without[:, None]
        longest = max(1, min(length, int((ends - starts).max(initial=0))))
        at = ends - 1 - np.arange(longest)
        at = at - (at <= without)
        there = at >= starts
        at = np.where(there, at, 0)
        rows, values = self.data.item_rows[at], self.data.values[at]
        return LatestFirst(
            rows=np.where(there, rows, 0).astype(np.int64),
            values=np.where(there, values, np.float32(np.nan)),
            mask=there.astype(np.float32),
        )

    def listed(self) -> list[History]:
        """Each history whole."""
        return [self._history(*bounds) for bounds in zip(self.starts, self.ends, self.without, strict=True)]

    def _history(self, start: np.int64, end: np.int64, without: np.int64) -> History:
        at: slice | NDArray[np.int64] = slice(start, end)
        if without >= 0:
            at = np.delete(np.arange(start, end), without - start)
        return History(
            rows=self.data.item_rows[at], values=self.data.values[at], events=self.data.events[at].astype(np.int64)
        )


def history_counts(dataset: Dataset, end: int, length: int) -> sparse.csr_array:
    """Counts of each user's interactions with each item, among their last ``length`` before event ``end``.

    A float32 matrix ``[users, items]``.
    """
    users = dataset.user_rows[:end]
    number = dataset.places[:end] - dataset.user_offsets[users]
    last = number >= np.bincount(users, minlength=len(dataset.user_ids))[users] - length
    pairs = (users[last], dataset.item_rows[:end][last])
    shape = (len(dataset.user_ids), len(dataset.item_ids))
    return sparse.coo_array((np.ones(len(pairs[0]), dtype=np.float32), pairs), shape).tocsr()
