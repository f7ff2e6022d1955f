"""SLIM: a ridge regression of each item on the items most similar to it.

SLIM (Ning and Karypis, 2011, doi:10.1109/ICDM.2011.134) with the loss of EASE (Steck, 2019, arXiv:1905.03375). EASE
regresses on all other items; here the neighbours are chosen beforehand. Each item's weights have a closed form. With
histories X, likes Y and the neighbours S of item j, they are (X_SᵀX_S + λI)⁻¹ X_Sᵀ[X_j Y_j].
"""

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from shortlist.bundle.item_item_table import ItemItemTable
from trainer.features.strongest import strongest

# Chosen on MovieLens-100K, on the events before its test.
_LAMBDA = 300.0
_CHUNK = 500
# All counts of so many items take 67 MB, and the counts of some neighbours are a slice of them.
_ALL_COUNTS = 4096
# The other items of one item, ascending, and how many users they share with it.
_Counts = tuple[NDArray[np.int32], NDArray[np.float32]]


def slim_table(had: sparse.csr_array, liked: sparse.csr_array, neighbours: int) -> ItemItemTable:
    """Each item's ``neighbours`` strongest weights: in predicting that others are had, and that they are liked.

    ``had`` and ``liked`` hold ones, ``[users, items]``. At most as many others predict an item.
    """
    size = had.shape[1]
    found = list(_regressions(had.astype(np.float32), liked.astype(np.float32), neighbours))
    later = np.repeat(np.arange(size), [len(earlier) for earlier, _ in found])
    earlier, weights = (np.concatenate(parts) for parts in zip(*found, strict=True))
    strength = sparse.coo_array((np.abs(weights).sum(axis=1), (earlier, later)), (size, size))
    offsets, kept = strongest(strength, neighbours)
    return ItemItemTable(offsets=offsets, rows=later[kept].astype(np.int32), weights=weights[kept].astype(np.float32))


def _regressions(
    had: sparse.csr_array, liked: sparse.csr_array, neighbours: int
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.floating]]]:
    """Each item's neighbours, and their weights ``[neighbours, 2]``."""
    by_item, norms = had.T.tocsr(), np.sqrt(had.sum(axis=0))
    together = _together(had, by_item)
    with_both = zip(_with_each(by_item, had), _with_each(liked.T.tocsr(), had), strict=True)
    for item, counts in enumerate(with_both):
        nearest = _nearest(item, counts[0], norms, neighbours)
        targets = np.stack([_at(nearest, one) for one in counts], axis=1).astype(np.float64)
        gram = together(nearest).astype(np.float64)
        gram[np.diag_indices_from(gram)] += _LAMBDA
        yield nearest, np.linalg.solve(gram, targets)


def _with_each(by_item: sparse.csr_array, had: sparse.csr_array) -> Iterator[_Counts]:
    """For each item, how many of its users had which others; a chunk of items at a time."""
    for start in range(0, by_item.shape[0], _CHUNK):
        counts = by_item[start : start + _CHUNK] @ had
        counts.sort_indices()
        for first, last in pairwise(counts.indptr):
            yield counts.indices[first:last], counts.data[first:last]


def _together(had: sparse.csr_array, by_item: sparse.csr_array) -> Callable[[NDArray[np.int32]], NDArray[np.float32]]:
    """A function from items to the counts of users that have both, ``[items, items]``."""
    users, items = had.shape
    if items <= _ALL_COUNTS:
        counts = (by_item @ had).toarray()
        return lambda some: counts[np.ix_(some, some)]
    places = np.zeros(users, dtype=np.int32)

    def together(some: NDArray[np.int32]) -> NDArray[np.float32]:
        chosen = by_item[some]
        # Renumber the users that occur, since the product's cost grows with the width of the matrix.
        places[chosen.indices] = np.arange(chosen.nnz)
        narrow = (chosen.data, places[chosen.indices], chosen.indptr)
        chosen = sparse.csr_array(narrow, shape=(len(some), chosen.nnz))
        found: NDArray[np.float32] = (chosen @ chosen.T).toarray()
        return found

    return together


def _nearest(item: int, counts: _Counts, norms: NDArray[np.float32], most: int) -> NDArray[np.int32]:
    """The others with the highest cosine between their users, ascending."""
    others, together = counts
    cosines = np.where(others == item, 0.0, together / norms[others])
    nearest = np.argpartition(-cosines, most)[:most] if len(others) > most else np.arange(len(others))
    return np.sort(others[nearest[cosines[nearest] > 0]])


def _at(items: NDArray[np.int32], counts: _Counts) -> NDArray[np.float32]:
    """The counts of some items, ascending, 0 where there are none."""
    known, together = counts
    if not len(known):
        return np.zeros(len(items), dtype=np.float32)
    place = np.minimum(np.searchsorted(known, items), len(known) - 1)
    return np.where(known.take(place) == items, together.take(place), np.float32(0))
