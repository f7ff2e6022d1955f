"""How far back an event is, as encoders see it: exactly when near, roughly when far."""

import numpy as np
from numpy.typing import NDArray

DISTANCE_BUCKETS = 32
_EXACT_DISTANCES = 16


def distance_buckets(length: int) -> NDArray[np.int64]:
    """A bucket for each distance, ``[length]``: one of its own when near, logarithmic when far (T5)."""
    distance = np.arange(length)
    far = _EXACT_DISTANCES + 4 * np.log2(np.maximum(distance, _EXACT_DISTANCES) / _EXACT_DISTANCES)
    buckets = np.where(distance < _EXACT_DISTANCES, distance, np.minimum(far, DISTANCE_BUCKETS - 1))
    return buckets.astype(np.int64)
