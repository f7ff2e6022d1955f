"""From scores to a list."""

import numpy as np
from numpy.typing import NDArray


def best_first(scores: NDArray[np.float32], limit: int) -> NDArray[np.int64]:
    """Places of the ``limit`` best scores ``[candidates]``; equal ones keep their order, non-finite ones come last."""
    order = np.argsort(-np.where(np.isfinite(scores), scores, -np.inf), kind="stable")
    return order[:limit]
