"""A user's interactions, as the models read them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class History:
    """Interactions, oldest first.

    All arrays are ``[length]``: the items' rows, values (NaN where unknown), and events (1-based indices into the
    bundle's event names, 0 where unknown).
    """

    rows: NDArray[np.int32]
    values: NDArray[np.float32]
    events: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def last(self, count: int) -> "History":
        """The latest ``count`` interactions."""
        start = max(0, len(self) - count)
        return History(rows=self.rows[start:], values=self.values[start:], events=self.events[start:])

    def then(self, later: "History") -> "History":
        """These interactions, then the later ones."""
        return History(
            rows=np.concatenate([self.rows, later.rows]),
            values=np.concatenate([self.values, later.values]),
            events=np.concatenate([self.events, later.events]),
        )


EMPTY_HISTORY = History(
    rows=np.zeros(0, dtype=np.int32), values=np.zeros(0, dtype=np.float32), events=np.zeros(0, dtype=np.int64)
)
