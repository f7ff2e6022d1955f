"""Co-occurrence within a window: the items that follow another in the histories, and those liked then."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from shortlist.bundle.item_item_table import ItemItemTable
from trainer.data import Dataset
from trainer.data.arrays import chunks
from trainer.features.strongest import strongest
from trainer.recipe import StatisticsConfig

_PRIOR_COUNT = 10.0


def cooccurrence_table(dataset: Dataset, end: int, recipe: StatisticsConfig) -> ItemItemTable:
    """Each item's ``neighbours`` that follow it most, with P(next within the window) and P(next and liked)."""
    follows = _as_probability(cooccurrence_counts(dataset, end, recipe, liked_only=False))
    liked = _as_probability(cooccurrence_counts(dataset, end, recipe, liked_only=True))
    offsets, kept = strongest(follows, recipe.neighbours)
    earlier, later = follows.row[kept], follows.col[kept]
    weights = np.stack([follows.data[kept], _values_at(liked, earlier, later)], axis=1)
    return ItemItemTable(offsets=offsets, rows=later.astype(np.int32), weights=weights.astype(np.float32))


def cooccurrence_counts(dataset: Dataset, end: int, recipe: StatisticsConfig, *, liked_only: bool) -> sparse.coo_array:
    """Counts of an item after another within the window, decayed by each step in between, ``[items, items]``.

    Events of one user and one time do not follow each other.
    """
    start = max(0, end - recipe.events)
    parts = [dataset.user_events[chunk] for chunk in chunks(len(dataset.user_events))]
    events = np.concatenate([part[(part >= start) & (part < end)] for part in parts])
    users, items, times = (column[events] for column in (dataset.user_rows, dataset.item_rows, dataset.times))
    size = len(dataset.item_ids)
    total = sparse.csr_array((size, size), dtype=np.float64)
    for step in range(1, min(recipe.window, len(events) - 1) + 1):
        pairs = (users[:-step] == users[step:]) & (times[:-step] != times[step:])
        if liked_only:
            pairs &= dataset.likes[events[step:]]
        weight = np.full(int(pairs.sum()), recipe.decay ** (step - 1))
        total = total + sparse.coo_array((weight, (items[:-step][pairs], items[step:][pairs])), (size, size)).tocsr()
    return total.tocoo()


def _as_probability(counts: sparse.coo_array) -> sparse.coo_array:
    total = np.asarray(counts.sum(axis=1)).ravel()
    return sparse.coo_array((counts.data / (total[counts.row] + _PRIOR_COUNT), (counts.row, counts.col)), counts.shape)


def _values_at(matrix: sparse.coo_array, rows: NDArray[np.int32], columns: NDArray[np.int32]) -> NDArray[np.float64]:
    if not len(rows):  # scipy would return a sparse array, and not values
        return np.zeros(0)
    return np.asarray(matrix.tocsr()[rows, columns]).ravel()
