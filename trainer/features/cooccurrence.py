"""Co-occurrence within a window: the items that follow another in the histories, and those liked then."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from shortlist.bundle.item_item_table import ItemItemTable
from trainer.data import Dataset
from trainer.data.arrays import chunks
from trainer.features.strongest import strongest
from trainer.recipe import StatisticsConfig

BLOCK = 2**22
"""About as many pairs of items are counted at once, which take some 200 MB."""
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
    """All of :func:`cooccurrence_blocks`, ``[items, items]``."""
    return sparse.vstack(list(cooccurrence_blocks(dataset, end, recipe, liked_only=liked_only))).tocoo()


def cooccurrence_blocks(
    dataset: Dataset, end: int, recipe: StatisticsConfig, *, liked_only: bool
) -> Iterator[sparse.csr_array]:
    """Counts of an item after another within the window, decayed by each step in between, ``[block, items]``.

    The blocks of earlier items cover all rows in order. Events of one user and one time do not follow each other.
    """
    start = max(0, end - recipe.events)
    parts = [dataset.user_events[chunk] for chunk in chunks(len(dataset.user_events))]
    events = np.concatenate([part[(part >= start) & (part < end)] for part in parts])
    users, items, times = (column[events] for column in (dataset.user_rows, dataset.item_rows, dataset.times))
    wanted = dataset.likes[events] if liked_only else np.ones(len(events), dtype=np.bool_)
    by_item, size = np.argsort(items, kind="stable"), len(dataset.item_ids)
    counts = np.bincount(items, minlength=size)
    starts = np.append(0, np.cumsum(counts))
    for block in blocks_of(counts * recipe.window):
        earlier = by_item[starts[block.start] : starts[block.stop]]
        pairs = []
        for step in range(1, recipe.window + 1):
            earlier = earlier[earlier + step < len(events)]
            earlier = earlier[users[earlier] == users[earlier + step]]
            first = earlier[(times[earlier] != times[earlier + step]) & wanted[earlier + step]]
            weights = np.full(len(first), recipe.decay ** (step - 1))
            pairs.append((weights, items[first] - block.start, items[first + step]))
        weights, rows, columns = (np.concatenate(column) for column in zip(*pairs, strict=True))
        yield sparse.coo_array((weights, (rows, columns)), (block.stop - block.start, size)).tocsr()


def blocks_of(pairs: NDArray[np.number]) -> Iterator[slice]:
    """Neighbouring items whose ``pairs`` ``[items]`` are about :data:`BLOCK` together; no item is split."""
    totals, start = np.cumsum(pairs), 0
    while start < len(pairs):
        before = totals[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(totals, before + BLOCK, side="right")))
        yield slice(start, stop)
        start = stop


def _as_probability(counts: sparse.coo_array) -> sparse.coo_array:
    total = np.asarray(counts.sum(axis=1)).ravel()
    return sparse.coo_array((counts.data / (total[counts.row] + _PRIOR_COUNT), (counts.row, counts.col)), counts.shape)


def _values_at(matrix: sparse.coo_array, rows: NDArray[np.int32], columns: NDArray[np.int32]) -> NDArray[np.float64]:
    if not len(rows):  # scipy would return a sparse array, and not values
        return np.zeros(0)
    return np.asarray(matrix.tocsr()[rows, columns]).ravel()
