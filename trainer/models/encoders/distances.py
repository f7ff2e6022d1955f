"""Buckets of the distance between events: exact when near, logarithmic when far (T5)."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

DISTANCE_BUCKETS = 32
_EXACT_DISTANCES = 16


def distance_buckets(length: int) -> NDArray[np.int64]:
    """The bucket of each distance, ``[length]``: its own when near, logarithmic when far."""
    distance = np.arange(length)
    far = _EXACT_DISTANCES + 4 * np.log2(np.maximum(distance, _EXACT_DISTANCES) / _EXACT_DISTANCES)
    buckets = np.where(distance < _EXACT_DISTANCES, distance, np.minimum(far, DISTANCE_BUCKETS - 1))
    return buckets.astype(np.int64)


def how_far_back(mask_BL: Tensor) -> Tensor:
    """The distance from each of L places back to each place, ``[L, L]``; negative to the right."""
    place_L = torch.arange(mask_BL.shape[1], device=mask_BL.device)
    return place_L[:, None] - place_L[None, :]
