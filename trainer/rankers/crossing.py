"""Features that cross a candidate with the history, inside the graph.

Legend of shapes: B users, H interactions (latest first), C candidates, X features.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

SIMILARITY_FEATURES = 4
MATCH_FEATURES = 3
_RECENT, _RECENT_BEST, _SESSION = 5, 10, 3


def similarity_features(similarity_BCH: Tensor, mask_BH: Tensor) -> Tensor:
    """Cosine to the history ``[B, C, 4]``: the latest, the mean of the last few, the best of the last ten, the mean."""
    best_BC = (similarity_BCH - 2.0 * (1.0 - mask_BH[:, None]))[..., :_RECENT_BEST].amax(-1)
    return torch.stack(
        [
            similarity_BCH[..., 0],
            _masked_mean(similarity_BCH[..., :_RECENT], mask_BH[:, :_RECENT]),
            best_BC,
            _masked_mean(similarity_BCH, mask_BH),
        ],
        dim=-1,
    )


def match_features(match_BCH: Tensor, values_BH: Tensor, mask_BH: Tensor) -> Tensor:
    """Shared categories ``[B, C, 3]``: with the last ten, with the last three, and weighted by how each was valued."""
    valued_BH = values_BH - _masked_mean(values_BH, mask_BH)[:, None]
    return torch.stack(
        [
            _masked_mean(match_BCH[..., :_RECENT_BEST], mask_BH[:, :_RECENT_BEST]),
            _masked_mean(match_BCH[..., :_SESSION], mask_BH[:, :_SESSION]),
            _masked_mean(match_BCH * valued_BH[:, None], mask_BH),
        ],
        dim=-1,
    )


def cosine(candidates_BCD: Tensor, history_BHD: Tensor) -> Tensor:
    """Cosine of each candidate with each item of the history, ``[B, C, H]``; 0 where either is zero."""
    unit_BCD, unit_BHD = F.normalize(candidates_BCD, dim=-1), F.normalize(history_BHD, dim=-1)
    return unit_BCD @ unit_BHD.transpose(1, 2)


def _masked_mean(values: Tensor, mask_BH: Tensor) -> Tensor:
    """Mean over the last axis of ``[B, ..., H]``, under a mask ``[B, H]``."""
    mask = mask_BH if values.dim() == mask_BH.dim() else mask_BH[:, None]
    return (values * mask).sum(-1) / mask.sum(-1).clamp(min=1.0)
