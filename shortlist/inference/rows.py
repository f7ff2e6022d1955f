"""Sets of rows."""

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int32] | NDArray[np.int64] | NDArray[np.uint32]
NO_ROWS = np.zeros(0, dtype=np.int64)


def is_among(rows: Rows, ascending: Rows) -> NDArray[np.bool_]:
    """Which of the rows ``[n]`` are in the ascending rows, ``[n]``: ``np.isin`` without sorting both."""
    if not len(ascending):
        return np.zeros(len(rows), dtype=np.bool_)
    places = np.minimum(np.searchsorted(ascending, rows), len(ascending) - 1)
    among: NDArray[np.bool_] = ascending[places] == rows
    return among


def union_of(*parts: Rows) -> NDArray[np.int64]:
    """The distinct rows of all parts, ascending."""
    rows: NDArray[np.int64] = np.sort(np.concatenate(parts).astype(np.int64))
    first = np.ones(len(rows), dtype=np.bool_)
    np.not_equal(rows[1:], rows[:-1], out=first[1:])
    return rows[first]
