"""Items that go with others: two item-item tables and the nearness of the vectors, fused by reciprocal rank.

Reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009) needs no weights. So it does not depend on the scales
of the three, which differ from bundle to bundle.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shortlist.bundle.item_item import FOLLOWS, HAD, LIKED, LIKED_AFTER
from shortlist.bundle.item_item_table import ItemItemTable
from shortlist.bundle.tables import ItemTables
from shortlist.inference.candidates import Candidates
from shortlist.inference.hidden_rows import HiddenRows
from shortlist.inference.live_items import LiveItems
from shortlist.inference.rows import is_among, union_of
from shortlist.inference.selection import best_first
from shortlist.inference.user_encoder import are_usable

# Chosen on a validation slice of a shop's log, where 60, the constant of the paper, is slightly worse.
_RANK_CONSTANT = 10
# A basket of thousands has hundreds of thousands of neighbours.
_MOST_OF_A_TABLE = 1000
# Directions that cancel out leave the rounding of 32 bits.
_SHORTEST_MEAN = 1e-6


@dataclass(frozen=True, kw_only=True)
class SimilarItems:
    """Items, best first, and their fused ``scores`` ``[n]``."""

    items: Candidates
    scores: NDArray[np.float32]


def mean_direction(items: ItemTables | LiveItems, rows: NDArray[np.int64]) -> NDArray[np.float32] | None:
    """The mean ``[D]`` of the items' directions; None where nothing is known of them, or they cancel out."""
    vectors = items.vectors_of(rows)
    vectors = vectors[are_usable(vectors)]
    if not len(vectors):
        return None
    # Directions, because one popular item of a basket would outweigh the others by the length of its vector.
    mean: NDArray[np.float32] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).mean(axis=0)
    return mean if np.linalg.norm(mean) > _SHORTEST_MEAN else None


def similar_items(
    items: ItemTables,
    basket: NDArray[np.int64],
    nearest: NDArray[np.int64],
    direction: NDArray[np.float32] | None,
    *,
    excluded: NDArray[np.int64],
    liked: bool,
    limit: int,
    hidden: HiddenRows | None = None,
    live: LiveItems | None = None,
) -> SimilarItems:
    """The best ``limit`` items for a basket ``[n]`` of distinct rows, or fewer.

    Candidates are the ``nearest`` rows of the index, and the neighbours of the basket in both tables. ``direction``
    ``[D]`` is the basket's mean direction; without it, nearness does not count. ``excluded`` are rows, ascending, that
    may not be found, beside those that no list may hold and ``hidden`` ones. ``liked`` asks for items that people then
    like, not only interact with. Rows of ``live`` items are in no table.
    """
    tables, of_bundle = items.item_item, basket[basket < len(items.ids)]
    columns = (LIKED_AFTER, LIKED) if liked else (FOLLOWS, HAD)
    followers = [
        _neighbours(table, of_bundle, column, excluded, items.listed, hidden)
        for table, column in zip((tables.cooccurrence, tables.slim), columns, strict=True)
    ]
    nearest = nearest[~is_among(nearest, excluded)]
    nearest = nearest if hidden is None else hidden.shown(nearest)
    rows = union_of(nearest, *(found for found, _ in followers))
    vectors_of = items.vectors_of if live is None else live.vectors_of
    nearness = np.zeros(len(rows), dtype=np.float32) if direction is None else vectors_of(rows) @ direction
    # The nearest come first, so that equal weights of a table are in the order of nearness.
    order = best_first(nearness, len(rows))
    fused = np.zeros(len(rows))
    if direction is not None:
        fused[order] += _reciprocal_ranks(len(order))
    for found, weights in followers:
        by_row = np.zeros(len(rows))
        by_row[np.searchsorted(rows, found)] = weights
        ranked = order[best_first(by_row[order], len(found))]
        fused[ranked] += _reciprocal_ranks(len(ranked))
    best = order[best_first(fused[order], limit)]
    return SimilarItems(items=Candidates.from_model(rows[best], nearness[best]), scores=fused[best].astype(np.float32))


def _neighbours(
    table: ItemItemTable,
    basket: NDArray[np.int64],
    column: int,
    excluded: NDArray[np.int64],
    listed: NDArray[np.int32] | None,
    hidden: HiddenRows | None,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The strongest neighbours of the basket, and the sums of their weights, which are above 0."""
    rows, weights = table.neighbours(basket, column)
    kept = (weights > 0) & ~is_among(rows, excluded)
    if listed is not None:
        kept &= is_among(rows, listed)
    if hidden is not None:
        kept &= ~hidden.among(rows)
    rows, weights = rows[kept], weights[kept]
    strongest = best_first(weights, _MOST_OF_A_TABLE)
    return rows[strongest], weights[strongest]


def _reciprocal_ranks(count: int) -> NDArray[np.float64]:
    return 1.0 / np.arange(_RANK_CONSTANT + 1, _RANK_CONSTANT + 1 + count)
