"""What a user had done before an event."""

from collections.abc import Sequence
from dataclasses import dataclass
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
    """n histories, as pieces of a data set's.

    Of each, the places from ``starts`` to ``ends`` ``[n]``, but for the one in ``without`` ``[n]``, -1 where there is
    none to leave out.
    """

    data: Histories
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    without: NDArray[np.int64]

    @classmethod
    def before(cls, dataset: Dataset, events: NDArray[np.int64]) -> Self:
        """What the user of each event had done before it."""
        starts = dataset.user_offsets[dataset.user_rows[events]]
        ends = starts + dataset.position[events]
        return cls(data=dataset.histories, starts=starts, ends=ends, without=np.full(len(events), -1))

    @classmethod
    def before_times(cls, dataset: Dataset, users: NDArray[np.int64], times: NDArray[np.int64]) -> Self:
        """What each user, -1 for a stranger, had done strictly before a time ``[n]``."""
        places = dataset.user_rows[dataset.user_events] * len(dataset.times) + dataset.user_events
        known = np.maximum(users, 0)
        starts = np.where(users >= 0, dataset.user_offsets[known], 0)
        events = np.searchsorted(dataset.times, times, side="left")
        ends = np.where(users >= 0, np.searchsorted(places, known * len(dataset.times) + events), 0)
        return cls(data=dataset.histories, starts=starts, ends=ends, without=np.full(len(users), -1))

    @classmethod
    def whole(cls, dataset: Dataset, users: NDArray[np.int64], own: NDArray[np.int64]) -> Self:
        """All items of each user, each once, where time is unknown; but for the item ``own`` ``[n]``, -1 for none."""
        items = len(dataset.item_ids)
        owners = np.repeat(np.arange(len(dataset.user_ids)), np.diff(dataset.user_offsets))
        pairs, first = np.unique(owners * items + dataset.histories.item_rows, return_index=True)
        known = np.maximum(users, 0)
        at = np.minimum(np.searchsorted(pairs, known * items + own), len(pairs) - 1)
        there = (users >= 0) & (own >= 0) & (pairs[at] == known * items + own)
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

    def latest_first(self, places: NDArray[np.int64], length: int) -> LatestFirst:
        """The last ``length`` interactions of some of them, as the ranker is given them."""
        starts, ends, without = self.starts[places, None], self.ends[places, None], self.without[places, None]
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

    def listed(self, places: NDArray[np.int64]) -> list[History]:
        """Some of them whole, one by one."""
        return [self._history(int(place)) for place in places]

    def _history(self, place: int) -> History:
        at = np.arange(self.starts[place], self.ends[place])
        at = at[at != self.without[place]]
        return History(
            rows=self.data.item_rows[at], values=self.data.values[at], events=self.data.events[at].astype(np.int64)
        )


def history_before(dataset: Dataset, event: int) -> History:
    """The history of the event's user up to, and without, the event."""
    start = dataset.user_offsets[dataset.user_rows[event]]
    earlier = slice(start, start + dataset.position[event])
    return History(
        rows=dataset.histories.item_rows[earlier],
        values=dataset.histories.values[earlier],
        events=dataset.histories.events[earlier].astype(np.int64),
    )


def histories_before(dataset: Dataset, events: Sequence[int] | NDArray[np.int64]) -> list[History]:
    """One history for each event."""
    return [history_before(dataset, int(event)) for event in events]


def history_counts(dataset: Dataset, end: int, length: int) -> sparse.csr_array:
    """How often each user did anything with each item in the last ``length`` of their events before event ``end``, as
    float32 ``[users, items]``.
    """
    users = dataset.user_rows[:end]
    last = dataset.position[:end] >= np.bincount(users, minlength=len(dataset.user_ids))[users] - length
    pairs = (users[last], dataset.item_rows[:end][last])
    shape = (len(dataset.user_ids), len(dataset.item_ids))
    return sparse.coo_array((np.ones(len(pairs[0]), dtype=np.float32), pairs), shape).tocsr()
