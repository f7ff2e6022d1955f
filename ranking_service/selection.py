"""From scores to a list."""

import numpy as np
from numpy.typing import NDArray


def best_first(scores: NDArray[np.floating], limit: int) -> NDArray[np.int64]:
    """Places of the ``limit`` best scores ``[candidates]``; equal ones keep their order, non-finite ones come last."""
    ascending = -np.where(np.isfinite(scores), scores, -np.inf)
    if limit >= len(scores):
        return np.argsort(ascending, kind="stable")
    # Only those that can be among the best are sorted; all that equal the last of them are.
    likely = np.flatnonzero(ascending <= np.partition(ascending, limit - 1)[limit - 1])
    return likely[np.argsort(ascending[likely], kind="stable")][:limit]
