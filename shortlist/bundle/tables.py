"""The tables of a bundle: one row for each item and each user."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shortlist.bundle.history import History
from shortlist.bundle.ids import row_of
from shortlist.bundle.item_item import ItemItemTables
from shortlist.limits import MAX_VALUE

# A caller may send any number, and sums of large ones overflow in a model. Among n values none is more than the square
# root of n - 1 deviations from their mean (Samuelson, 1968). So no training value is cut, unless there are a million.
MOST_DEVIATIONS = 1000.0


@dataclass(frozen=True, kw_only=True)
class ItemTables:
    """The items. An item's row is its index in ``ids``.

    Shapes: ``ids`` ``[items]`` sorted bytes; ``vectors`` ``[items, dimension]``; ``features`` ``[items, features]``;
    ``popular`` ``[items]``, the rows by falling popularity. ``inputs`` ``[items, width]`` are the item embeddings that
    the user encoder reads, mostly the vectors themselves. ``value_mean`` and ``value_std`` standardise the values of
    interactions. ``listed`` ``[n]`` are the rows that lists may hold, ascending; None where all may. The index has
    these alone, in this order, and they come first in ``popular``. Histories may hold any row. ``unseen`` ``[S]`` are
    the leading features, which are counted, of an item without events; None in bundles of earlier releases.
    """

    ids: NDArray[np.bytes_]
    vectors: NDArray[np.float32]
    inputs: NDArray[np.float32]
    features: NDArray[np.float32]
    popular: NDArray[np.int32]
    item_item: ItemItemTables
    value_mean: float
    value_std: float
    listed: NDArray[np.int32] | None = None
    unseen: NDArray[np.float32] | None = None

    @property
    def listed_count(self) -> int:
        """How many items lists may hold."""
        return len(self.ids) if self.listed is None else len(self.listed)

    def clamped(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Values within ``MOST_DEVIATIONS`` of the mean; NaN where unknown."""
        most = MOST_DEVIATIONS * self.value_std
        lowest, highest = max(self.value_mean - most, -MAX_VALUE), min(self.value_mean + most, MAX_VALUE)
        within: NDArray[np.float32] = np.minimum(np.maximum(values, np.float32(lowest)), np.float32(highest))
        return within

    def standardised(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Clamped values in standard deviations from the mean; 0 where unknown (NaN)."""
        deviations = (self.clamped(values) - np.float32(self.value_mean)) / np.float32(self.value_std)
        return np.where(np.isnan(deviations), np.float32(0), deviations)

    def id_of(self, row: int) -> str:
        """The id of a row, as text."""
        return bytes(self.ids[row]).decode()

    def vectors_of(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors ``[n, dimension]`` of rows ``[n]``."""
        return self.vectors[rows]

    def ids_of(self, rows: NDArray[np.int64]) -> list[str]:
        """The ids of rows ``[n]``."""
        return [item_id.decode() for item_id in self.id_bytes_of(rows)]

    def id_bytes_of(self, rows: NDArray[np.int64]) -> list[bytes]:
        """The ids of rows ``[n]`` as messages hold them, in UTF-8."""
        ids: list[bytes] = self.ids[rows].tolist()
        return ids


@dataclass(frozen=True, kw_only=True)
class UserTables:
    """The users: ids ``[users]`` sorted bytes, features ``[users, features]``, and histories in compressed rows.

    User ``u`` has the interactions ``offsets[u]:offsets[u + 1]``, oldest first: item rows, values (NaN where unknown)
    and events (1-based indices into the manifest's ``event_names``, 0 where unknown). An event has one byte, or two
    in a bundle with more than 255 event names.
    """

    ids: NDArray[np.bytes_]
    features: NDArray[np.float32]
    offsets: NDArray[np.int64]
    rows: NDArray[np.int32]
    values: NDArray[np.float32]
    events: NDArray[np.uint8] | NDArray[np.uint16]

    def row_of(self, user_id: str) -> int | None:
        """The row of a user, or None when the bundle lacks them."""
        return row_of(self.ids, user_id)

    def history_of(self, row: int) -> History:
        """A user's interactions up to the training run."""
        span = slice(int(self.offsets[row]), int(self.offsets[row + 1]))
        return History(
            rows=np.asarray(self.rows[span]),
            values=np.asarray(self.values[span]),
            events=np.asarray(self.events[span]).astype(np.int64),
        )
