"""The strongest entries of each row of a sparse matrix."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse


def strongest(matrix: sparse.coo_array, keep: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The offsets of the rows, and the places of the ``keep`` largest entries of each row, row by row."""
    order = np.lexsort((matrix.col, -matrix.data, matrix.row))
    counts = np.bincount(matrix.row, minlength=matrix.shape[0])
    place = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    offsets = np.concatenate([[0], np.cumsum(np.minimum(counts, keep))])
    return offsets.astype(np.int64), order[place < keep]
