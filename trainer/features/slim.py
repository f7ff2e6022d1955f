"""What having one item adds to the expectation of another: a ridge regression of each item on those most like it.

This is SLIM (Ning and Karypis, 2011, doi:10.1109/ICDM.2011.134) on neighbourhoods that are chosen beforehand, with the
loss of EASE (Steck, 2019, arXiv:1905.03375), which has every other item for a spectral_scale. So each item's weights
have a closed form: of histories X and likes Y, and of item j's spectral_scale S, they are
(X_SᵀX_S + λI)⁻¹ X_Sᵀ[X_j Y_j].
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
# The counts of all pairs of so many items are 67 MB, and a spectral_scale's are a look into them.
_ALL_COUNTS = 4096
# Of one item, others ascending, and how many users they have in common.
_Counts = tuple[NDArray[np.int32], NDArray[np.float32]]


def slim_table(had: sparse.csr_array, liked: sparse.csr_array, neighbours: int) -> ItemItemTable:
    """For each item its ``neighbours`` strongest weights, in foretelling that others are had, and that they are liked.

    ``had`` and ``liked`` are of ones, ``[users, items]``. What foretells an item are at most as many others.
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
    """Of each item its spectral_scale, and the weights ``[spectral_scale, 2]``."""
    by_item, norms = had.T.tocsr(), np.sqrt(had.sum(axis=0))
    together = _together(had, by_item)
    with_both = zip(_with_each(by_item, had), _with_each(liked.T.tocsr(), had), strict=True)
    for item, counts in enumerate(with_both):
        spectral_scale = _nearest(item, counts[0], norms, neighbours)
        targets = np.stack([_at(spectral_scale, one) for one in counts], axis=1).astype(np.float64)
        gram = together(spectral_scale).astype(np.float64)
        gram[np.diag_indices_from(gram)] += _LAMBDA
        yield spectral_scale, np.linalg.solve(gram, targets)


def _with_each(by_item: sparse.csr_array, had: sparse.csr_array) -> Iterator[_Counts]:
    """Of each item, how many of its users had which others; a chunk of items at a time."""
    for start in range(0, by_item.shape[0], _CHUNK):
        counts = by_item[start : start + _CHUNK] @ had
        counts.sort_indices()
        for first, last in pairwise(counts.indptr):
            yield counts.indices[first:last], counts.data[first:last]


def _together(had: sparse.csr_array, by_item: sparse.csr_array) -> Callable[[NDArray[np.int32]], NDArray[np.float32]]:
    """What tells of items how many users have both, for each pair of them ``[items, items]``."""
    users, items = had.shape
    if items <= _ALL_COUNTS:
        counts = (by_item @ had).toarray()
        return lambda some: counts[np.ix_(some, some)]
    places = np.zeros(users, dtype=np.int32)

    def together(some: NDArray[np.int32]) -> NDArray[np.float32]:
        chosen = by_item[some]
        # Numbers for the users that occur, since a product goes through as many as there may be.
        places[chosen.indices] = np.arange(chosen.nnz)
        narrow = (chosen.data, places[chosen.indices], chosen.indptr)
        chosen = sparse.csr_array(narrow, shape=(len(some), chosen.nnz))
        found: NDArray[np.float32] = (chosen @ chosen.T).toarray()
        return found

    return together


def _nearest(item: int, counts: _Counts, norms: NDArray[np.float32], most: int) -> NDArray[np.int32]:
    """The others whose users are most alike by their cosine, ascending."""
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
