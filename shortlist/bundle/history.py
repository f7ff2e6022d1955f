"""A user's interactions, as the models read them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

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


@dataclass(frozen=True, kw_only=True, eq=False)
class SeenEvents:
    """The events that make an item seen. Lists leave out seen items; an item that was only viewed may still be wanted.

    ``counts`` ``[event_names + 1]`` is indexed by the events of a history; None where every event counts. An unknown
    event counts, since nothing says that the item may still be wanted. ``names`` are empty where every event counts.
    """

    names: tuple[str, ...] = ()
    counts: NDArray[np.bool_] | None = None

    @classmethod
    def of(cls, event_names: Sequence[str], seen_events: Sequence[str]) -> Self:
        """The ``seen_events`` count, or when there are none, all ``event_names``."""
        if not seen_events or set(event_names) <= set(seen_events):
            return cls()
        counts = np.array([True, *(name in seen_events for name in event_names)])
        return cls(names=tuple(name for name in event_names if name in seen_events), counts=counts)

    def among(self, events: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Which of the events ``[n]`` count."""
        return np.ones(len(events), dtype=np.bool_) if self.counts is None else self.counts.take(events)

    def rows_of(self, history: History) -> NDArray[np.int32]:
        """The rows of a history's seen items, as often as they were seen."""
        return history.rows if self.counts is None else history.rows[self.counts.take(history.events)]


EVERY_EVENT = SeenEvents()
EMPTY_HISTORY = History(
    rows=np.zeros(0, dtype=np.int32), values=np.zeros(0, dtype=np.float32), events=np.zeros(0, dtype=np.int64)
)
