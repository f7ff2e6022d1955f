"""The rows of a bundle that may not be shown, changed while requests are answered."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from shortlist.bundle.ids import rows_of
from shortlist.inference.candidates import Candidates


class HiddenRows:
    """The hidden rows of one bundle with these sorted ``ids`` ``[items]``: a byte an item.

    Rows behind those of the bundle are of live items, which are found by the ids in ``live``. One thread changes it
    while others read. A reader may see a part of a change, and sees the rest a moment later.
    """

    def __init__(self, ids: NDArray[np.bytes_]) -> None:
        self._ids = ids
        self._is_hidden = np.zeros(len(ids), dtype=np.bool_)
        self.live: Mapping[str, int] = {}
        """The rows of live items by their ids."""
        self.count = 0
        """How many rows are hidden."""
        self._count_of_bundle = 0

    def grow(self, size: int) -> None:
        """Makes room for so many rows; the new ones are not hidden."""
        grown = np.zeros(size, dtype=np.bool_)
        grown[: len(self._is_hidden)] = self._is_hidden
        self._is_hidden = grown

    def change(self, item_ids: Sequence[str], *, hidden: bool) -> None:
        """Hides items, or shows them. Ids that are unknown are left out."""
        rows = rows_of(self._ids, item_ids)
        rows = np.unique(rows[rows >= 0])
        self._count_of_bundle += self._set(rows, hidden)
        if self.live:
            live = {self.live[item_id] for item_id in item_ids if item_id in self.live}
            self._set(np.array(sorted(live), dtype=np.int64), hidden)

    def change_row(self, row: int, *, hidden: bool) -> None:
        """Hides the row of a live item, or shows it."""
        self._set(np.array([row]), hidden)

    def _set(self, rows: NDArray[np.int64], hidden: bool) -> int:
        changed = int(np.count_nonzero(self._is_hidden[rows] != hidden))
        self._is_hidden[rows] = hidden
        difference = changed if hidden else -changed
        self.count += difference
        return difference

    @property
    def share(self) -> float:
        """The share of the bundle's items that are hidden."""
        return self._count_of_bundle / len(self._ids) if self._count_of_bundle else 0.0

    def among(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of the rows ``[n]`` are hidden, ``[n]``."""
        return self._is_hidden.take(rows)

    def shown(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows of ``[n]`` that are not hidden, in their order."""
        return rows[~self.among(rows)] if self.count else rows

    def shown_of(self, candidates: Candidates) -> Candidates:
        """The candidates that are not hidden, in their order."""
        hidden = self.among(candidates.rows) if self.count else None
        return candidates if hidden is None or not hidden.any() else candidates.keep(~hidden)
