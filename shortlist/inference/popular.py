"""The fallback: what everybody likes."""

import numpy as np
from numpy.typing import NDArray

from shortlist.bundle.tables import ItemTables
from shortlist.inference.rows import is_among, union_of


def popular_rows(items: ItemTables, count: int, *hidden: NDArray[np.int64]) -> NDArray[np.int64]:
    """The ``count`` most popular rows that are in none of the hidden ones; fewer when the catalogue has no more."""
    if count <= 0:
        return np.zeros(0, dtype=np.int64)
    away = union_of(*hidden)
    # The hidden rows can push out as many popular ones at most, so that the rest of the catalogue need not be read.
    popular = np.asarray(items.popular[: count + len(away)]).astype(np.int64)
    return popular[~is_among(popular, away)][:count]
