"""The pairs of each item that are worth keeping."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse


def strongest(matrix: sparse.coo_array, keep: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places of the ``keep`` largest entries of each row, row by row, and where each row starts among them."""
    order = np.lexsort((matrix.col, -matrix.data, matrix.row))
    counts = np.bincount(matrix.row, minlength=matrix.shape[0])
    place = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    offsets = np.concatenate([[0], np.cumsum(np.minimum(counts, keep))])
    return offsets.astype(np.int64), order[place < keep]
