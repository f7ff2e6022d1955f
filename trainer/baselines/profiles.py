"""Histories as sparse rows."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from trainer.evaluation.queries import Profiles


def each_once(profiles: Profiles, items: int) -> sparse.csr_array:
    """The items of each history, ``[B, items]`` of ones."""
    found = by_item(profiles, items, np.ones)
    found.data[:] = 1.0
    return found


def by_item(profiles: Profiles, items: int, weights_of: Callable[[int], NDArray[np.float64]]) -> sparse.csr_array:
    """The histories as rows, ``[B, items]``, an event of each by its weight among so many."""
    lengths = [len(history) for history in profiles.histories]
    lines = np.repeat(np.arange(len(lengths)), lengths)
    rows = np.concatenate([np.zeros(0, dtype=np.int32), *(history.rows for history in profiles.histories)])
    weights = np.concatenate([np.zeros(0), *map(weights_of, lengths)])
    return sparse.coo_array((weights, (lines, rows)), (len(lengths), items)).tocsr()
