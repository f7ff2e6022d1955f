"""Item-item baselines for a catalogue of any size: sparse, counted a block of items at a time.

Each item keeps its :data:`NEIGHBOURS` strongest neighbours. A weight takes 8 bytes with its item, so a table is at most
1.6 kB an item. A block holds as many pairs as :func:`~trainer.features.cooccurrence.blocks_of` says.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from trainer.baselines.profiles import by_item, each_once
from trainer.data import Dataset
from trainer.evaluation.queries import Profiles
from trainer.evaluation.rankings import Scorer
from trainer.features.cooccurrence import blocks_of, cooccurrence_blocks
from trainer.features.statistics import interaction_matrix
from trainer.recipe import StatisticsConfig

NEIGHBOURS = 200
_SHRINKAGE = 10.0
_PRIOR_COUNT = 10.0
_WINDOW_DECAY, _LAST_DECAY = 0.8, 0.5


def item_knn(dataset: Dataset, end: int) -> Scorer:
    """Sum over the history of the cosine of the items' users, shrunk where they share few (Sarwar et al., 2001)."""
    matrix = interaction_matrix(dataset, end)
    return _scorer(_strongest(_cosines(matrix), matrix.shape[1]), each_once, dataset, end)


def cooccurrence(dataset: Dataset, end: int) -> Scorer:
    """The items that followed the items of the history within a window, where the latest count most."""
    return _follows(dataset, end, StatisticsConfig(), _WINDOW_DECAY)


def transitions(dataset: Dataset, end: int) -> Scorer:
    """The items that came next after the last items of the history: a Markov chain that hardly looks back."""
    return _follows(dataset, end, StatisticsConfig(window=1), _LAST_DECAY)


def _follows(dataset: Dataset, end: int, counted: StatisticsConfig, decay: float) -> Scorer:
    blocks = (
        sparse.diags_array(1.0 / (block.sum(axis=1) + _PRIOR_COUNT)) @ block
        for block in cooccurrence_blocks(dataset, end, counted, liked_only=False)
    )

    def latest_most(profiles: Profiles, items: int) -> sparse.csr_array:
        return by_item(profiles, items, lambda length: np.asarray(decay ** np.arange(length)[::-1]))

    return _scorer(_strongest(blocks, len(dataset.item_ids)), latest_most, dataset, end)


def _scorer(
    weights: sparse.csr_array, histories: Callable[[Profiles, int], sparse.csr_array], dataset: Dataset, end: int
) -> Scorer:
    """The weights of a history's items, summed; items without any follow by popularity, below 0."""
    count = np.bincount(dataset.item_rows[:end], minlength=weights.shape[1])
    rest = (count / (count.max(initial=0) + 1.0) - 1.0).astype(np.float32)

    def score(profiles: Profiles) -> NDArray[np.floating]:
        found = histories(profiles, weights.shape[1]) @ weights
        scores = np.tile(rest, (len(profiles), 1))
        scores[np.repeat(np.arange(len(profiles)), np.diff(found.indptr)), found.indices] = found.data
        return scores

    return score


def _cosines(matrix: sparse.csr_array) -> Iterator[sparse.csr_array]:
    """The shrunk cosines of a block of items with all items."""
    columns = matrix.tocsc()
    lengths = np.sqrt(np.maximum(np.diff(columns.indptr), 1.0))
    # A pair for each event of each user of the item, and at most one for each item.
    pairs = np.minimum(matrix.T @ np.diff(matrix.indptr), matrix.shape[1])
    for block in blocks_of(pairs):
        together = (columns[:, block].T @ matrix).tocsr()
        of_row = np.repeat(lengths[block], np.diff(together.indptr))
        together.data /= of_row * lengths[together.indices] + _SHRINKAGE
        yield together


def _strongest(blocks: Iterable[sparse.csr_array], items: int) -> sparse.csr_array:
    """The blocks, one below the other, with the strongest neighbours of each item, ``[items, items]``."""
    kept = [_pruned(block) for block in blocks]
    return sparse.vstack([sparse.csr_array((0, items), dtype=np.float32), *kept], format="csr")


def _pruned(block: sparse.csr_array) -> sparse.csr_array:
    block.sort_indices()
    counts = np.diff(block.indptr)
    of_entry = np.repeat(np.arange(len(counts)), counts)
    # Most items have few neighbours; only the entries of the others need an order.
    crowded = np.flatnonzero((counts > NEIGHBOURS)[of_entry])
    order = crowded[np.lexsort((-block.data[crowded], of_entry[crowded]))]
    firsts = np.append(True, np.diff(of_entry[order]) > 0) if len(order) else np.zeros(0, dtype=np.bool_)
    starts = np.flatnonzero(firsts)
    place = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    keep = np.ones(block.nnz, dtype=np.bool_)
    keep[order[place >= NEIGHBOURS]] = False
    offsets = np.append(0, np.cumsum(np.minimum(counts, NEIGHBOURS)))
    return sparse.csr_array((block.data[keep].astype(np.float32), block.indices[keep], offsets), block.shape)
