"""The rows of a bundle that may not be shown, changed while requests are answered."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shortlist.bundle.ids import rows_of
from shortlist.inference.candidates import Candidates


class HiddenRows:
    """The hidden rows of one bundle with these sorted ``ids`` ``[items]``: a byte an item.

    One thread changes it while others read. A reader may see a part of a change, and sees the rest a moment later.
    """

    def __init__(self, ids: NDArray[np.bytes_]) -> None:
        self._ids = ids
        self._is_hidden = np.zeros(len(ids), dtype=np.bool_)
        self.count = 0
        """How many rows are hidden."""

    def change(self, item_ids: Sequence[str], *, hidden: bool) -> None:
        """Hides items, or shows them. Ids that the bundle does not have are left out."""
        rows = rows_of(self._ids, item_ids)
        rows = np.unique(rows[rows >= 0])
        changed = int(np.count_nonzero(self._is_hidden[rows] != hidden))
        self._is_hidden[rows] = hidden
        self.count += changed if hidden else -changed

    @property
    def share(self) -> float:
        """The share of the bundle's items that are hidden."""
        return self.count / len(self._ids) if self.count else 0.0

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
