"""From scores to the order of a list."""

import numpy as np
from numpy.typing import NDArray


def best_first(scores: NDArray[np.floating], limit: int) -> NDArray[np.int64]:
    """Places of the ``limit`` highest scores ``[..., n]`` of each line, ``[..., min(limit, n)]``.

    Equal scores keep their order; scores that are not finite come last. The result equals a stable sort of
    the whole line, at the cost of a partition.
    """
    if scores.ndim == 1:
        return _best_of_line(scores, limit)
    lines = scores.reshape(-1, scores.shape[-1])
    count = min(limit, scores.shape[-1])
    best = np.empty((len(lines), count), dtype=np.int64)
    for place, line in enumerate(lines):
        best[place] = _best_of_line(line, limit)
    return best.reshape(*scores.shape[:-1], count)


def _best_of_line(scores: NDArray[np.floating], limit: int) -> NDArray[np.int64]:
    ascending = -np.where(np.isfinite(scores), scores, -np.inf)
    if limit >= len(scores):
        return np.argsort(ascending, kind="stable")
    # Only scores that can be among the best are sorted: those at least as high as the last of the best.
    likely = np.flatnonzero(ascending <= np.partition(ascending, limit - 1)[limit - 1])
    return likely[np.argsort(ascending[likely], kind="stable")][:limit]
