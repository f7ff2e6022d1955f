"""The fallback: items that are popular with all users."""

import numpy as np
from numpy.typing import NDArray

from shortlist.bundle.tables import ItemTables
from shortlist.inference.hidden_rows import HiddenRows
from shortlist.inference.rows import is_among, union_of


def popular_rows(
    items: ItemTables, count: int, *excluded: NDArray[np.int64], hidden: HiddenRows | None = None
) -> NDArray[np.int64]:
    """The ``count`` most popular rows that lists may hold and are neither excluded nor hidden; fewer without more."""
    if count <= 0:
        return np.zeros(0, dtype=np.int64)
    away = union_of(*excluded)
    # Each excluded row takes the place of at most one popular row, so the rest of the catalogue need not be read.
    read = count + len(away)
    found = _first_popular(items, read, away, hidden)
    # Hidden rows are few among the popular ones, so that they are not counted beforehand.
    while len(found) < count and read < items.listed_count:
        read *= 2
        found = _first_popular(items, read, away, hidden)
    return found[:count]


def _first_popular(
    items: ItemTables, read: int, away: NDArray[np.int64], hidden: HiddenRows | None
) -> NDArray[np.int64]:
    popular = np.asarray(items.popular[: min(read, items.listed_count)]).astype(np.int64)
    kept = popular[~is_among(popular, away)]
    return kept if hidden is None else hidden.shown(kept)


class PopularityRanks:
    """The place of every row in the order of popularity: 4 bytes an item, 40 MB for ten million."""

    def __init__(self, items: ItemTables) -> None:
        self._ranks = np.empty(len(items.popular), dtype=np.int32)
        self._ranks[items.popular] = np.arange(len(items.popular), dtype=np.int32)

    def most_popular_first(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows ``[n]`` by falling popularity. Rows behind the bundle's are of new items, and come last."""
        of_bundle = rows < len(self._ranks)
        ranks = np.full(len(rows), len(self._ranks))
        ranks[of_bundle] = self._ranks[rows[of_bundle]]
        return rows[np.argsort(ranks, kind="stable")]
