"""What a user had done before an event."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

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
