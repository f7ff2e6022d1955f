"""SLIM: a ridge regression of each item on the items most similar to it.

SLIM (Ning and Karypis, 2011, doi:10.1109/ICDM.2011.134) with the loss of EASE (Steck, 2019, arXiv:1905.03375). EASE
regresses on all other items; here the neighbours are chosen beforehand. Each item's weights have a closed form. With
histories X, likes Y and the neighbours S of item j, they are (X_SᵀX_S + λI)⁻¹ X_Sᵀ[X_j Y_j].

Legend of shapes: N items with equally many neighbours, K neighbours each.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
# So many users of neighbours, or counts of pairs, are worked on at once.
_AT_ONCE = 2_000_000
_Together = Callable[[NDArray[np.int32]], NDArray[np.float32]]


def slim_table(had: sparse.csr_array, liked: sparse.csr_array, neighbours: int) -> ItemItemTable:
    """Each item's ``neighbours`` strongest weights: in predicting that others are had, and that they are liked.

    ``had`` and ``liked`` hold ones, ``[users, items]``. At most as many others predict an item.
    """
    size = had.shape[1]
    had, liked = had.astype(np.float32), liked.astype(np.float32)
    chosen = _Neighbours.of(had, liked, neighbours)
    later, earlier, weights = chosen.later, chosen.items, _weights(had, chosen)
    strength = sparse.coo_array((np.abs(weights).sum(axis=1), (earlier, later)), (size, size))
    offsets, kept = strongest(strength, neighbours)
    return ItemItemTable(offsets=offsets, rows=later[kept].astype(np.int32), weights=weights[kept].astype(np.float32))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Neighbours:
    """The neighbours of each item, item by item.

    Item j has the ``items`` ``offsets[j]:offsets[j + 1]``, ascending. ``targets`` ``[neighbours, 2]`` count the users
    who had both, and those of them who liked j.
    """

    offsets: NDArray[np.int64]
    items: NDArray[np.int32]
    targets: NDArray[np.float32]

    @classmethod
    def of(cls, had: sparse.csr_array, liked: sparse.csr_array, most: int) -> "_Neighbours":
        """The at most ``most`` others with the highest cosine between their users; a chunk of items at a time."""
        by_item, liked_by_item, norms = had.T.tocsr(), liked.T.tocsr(), np.sqrt(had.sum(axis=0))
        sizes, items, targets = [np.zeros(1, np.int64)], [np.zeros(0, np.int32)], [np.zeros((0, 2), np.float32)]
        for start in range(0, had.shape[1], _CHUNK):
            chunk = slice(start, start + _CHUNK)
            counts, of_likes = (_sorted(one[chunk] @ had) for one in (by_item, liked_by_item))
            kept = _nearest(start, counts, norms, most)
            sizes.append(np.bincount(_rows(counts)[kept], minlength=counts.shape[0]))
            items.append(counts.indices[kept])
            targets.append(np.stack([counts.data[kept], _values_at(of_likes, _keys(counts)[kept])], axis=1))
        offsets = np.cumsum(np.concatenate(sizes))
        return cls(offsets=offsets, items=np.concatenate(items), targets=np.concatenate(targets))

    @property
    def later(self) -> NDArray[np.int64]:
        """The item that each neighbour belongs to, ``[neighbours]``."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def by_count(self) -> Iterator[NDArray[np.int64]]:
        """Places of the neighbours of all items that have K of them, ``[N, K]``, for each K above 0."""
        counts = np.diff(self.offsets)
        for count in np.unique(counts[counts > 0]):
            yield self.offsets[:-1][counts == count][:, None] + np.arange(count)


def _weights(had: sparse.csr_array, chosen: _Neighbours) -> NDArray[np.float64]:
    """The weights of the neighbours, ``[neighbours, 2]``."""
    weights, by_item = np.zeros(chosen.targets.shape), had.T.tocsr()
    users, together = np.diff(by_item.indptr), _together(had, by_item)
    for all_places_NK in chosen.by_count():
        count = all_places_NK.shape[1]
        cost_N = np.maximum(users[chosen.items[all_places_NK]].sum(axis=1), count**2)
        for places_NK in np.split(all_places_NK, _borders(cost_N)):
            gram_NKK = together(chosen.items[places_NK]).astype(np.float64)
            gram_NKK[:, np.arange(count), np.arange(count)] += _LAMBDA
            weights[places_NK] = np.linalg.solve(gram_NKK, chosen.targets[places_NK].astype(np.float64))
    return weights


def _borders(cost: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where to cut a sequence, so that each piece has a cost of about ``_AT_ONCE``, or is one entry."""
    return np.flatnonzero(np.diff(np.cumsum(cost) // _AT_ONCE)) + 1


def _together(had: sparse.csr_array, by_item: sparse.csr_array) -> _Together:
    """A function from items ``[N, K]`` to the counts of users that have two of a line, ``[N, K, K]``."""
    if had.shape[1] <= _ALL_COUNTS:
        counts = (by_item @ had).toarray()
        return lambda some_NK: counts[some_NK[:, :, None], some_NK[:, None, :]]
    places = np.zeros(had.shape[0], dtype=np.int64)
    return lambda some_NK: _counted(by_item, some_NK, places)


def _counted(by_item: sparse.csr_array, some_NK: NDArray[np.int32], places: NDArray[np.int64]) -> NDArray[np.float32]:
    """One product for all lines, block-diagonal, because their users have different numbers.

    ``places`` ``[users]`` is scratch.
    """
    lines, count = some_NK.shape
    chosen = by_item[some_NK.ravel()]
    columns, borders = np.empty(chosen.nnz, dtype=np.int64), chosen.indptr[::count]
    for first, last in pairwise(borders):
        # The users of a line are numbered by the last place of each. The product's cost grows with the width.
        users = chosen.indices[first:last]
        places[users] = np.arange(first, last)
        columns[first:last] = places[users]
    block = sparse.csr_array((chosen.data, columns, chosen.indptr), shape=(lines * count, chosen.nnz))
    product, found = block @ block.T, np.zeros((lines * count, count), dtype=np.float32)
    rows = _rows(product)
    found[rows, product.indices - rows // count * count] = product.data
    return found.reshape(lines, count, count)


def _nearest(first: int, counts: sparse.csr_array, norms: NDArray[np.float32], most: int) -> NDArray[np.int64]:
    """Places in the counts of each line's nearest others; the lines are the items from ``first`` on."""
    cosines = np.where(counts.indices == _rows(counts) + first, 0.0, counts.data / norms[counts.indices])
    near = cosines > 0
    for line in np.flatnonzero(np.diff(counts.indptr) > most):
        part = slice(counts.indptr[line], counts.indptr[line + 1])
        near[part][np.argpartition(-cosines[part], most)[most:]] = False
    return np.flatnonzero(near)


def _sorted(matrix: sparse.csr_array) -> sparse.csr_array:
    matrix.sort_indices()
    return matrix


def _rows(matrix: sparse.csr_array) -> NDArray[np.int64]:
    """The row of each entry."""
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))


def _keys(matrix: sparse.csr_array) -> NDArray[np.int64]:
    """A number for the row and the column of each entry, ascending in a sorted matrix."""
    keys: NDArray[np.int64] = _rows(matrix) * matrix.shape[1] + matrix.indices
    return keys


def _values_at(matrix: sparse.csr_array, keys: NDArray[np.int64]) -> NDArray[np.float32]:
    """The entries of a sorted matrix with these keys, 0 where there are none."""
    if not matrix.nnz:
        return np.zeros(len(keys), dtype=np.float32)
    known = _keys(matrix)
    place = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.where(known.take(place) == keys, matrix.data.take(place), np.float32(0))
