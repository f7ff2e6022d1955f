"""What a user had done before an event."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from shortlist.inference.history import History
from trainer.data import Dataset


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
