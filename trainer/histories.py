"""What a user had done before an event."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shortlist.history import History
from trainer.data import Dataset


def history_before(dataset: Dataset, event: int) -> History:
    """The history of the event's user up to, and without, the event."""
    earlier = dataset.rows_of_user(int(dataset.user_rows[event]))[: dataset.position[event]]
    return History(
        rows=dataset.item_rows[earlier].astype(np.int32),
        values=dataset.values[earlier],
        events=dataset.events[earlier],
    )


def histories_before(dataset: Dataset, events: Sequence[int] | NDArray[np.int64]) -> list[History]:
    """One history for each event."""
    return [history_before(dataset, int(event)) for event in events]
