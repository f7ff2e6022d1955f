"""Features that cross a candidate with the history, inside the graph.

Most of them are means of a cosine over the history. The mean of the products is the product with the mean. So each
feature takes one vector of the history and one product with the candidates, however long the history is.

Legend of shapes: B users, H interactions (latest first), C candidates, D components, F item features, X features.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

SIMILARITY_FEATURES = 4
MATCH_FEATURES = 3
ID_EMBEDDING_FEATURES = 2
_LATEST, _SESSION, _RECENT, _RECENT_BEST, _ALL = 1, 3, 5, 10, 2**31 - 1
_LEAST_NORM = 1e-12
_FAR = -1e9


def similarity_features(candidates_BCD: Tensor, history_BHD: Tensor, mask_BH: Tensor) -> Tensor:
    """Cosine to the history ``[B, C, 4]``: the latest, the mean of the last few, the mean, the best of the last ten."""
    unit_BHD = F.normalize(history_BHD, dim=-1)
    means_BXD = _shares(mask_BH, (_LATEST, _RECENT, _ALL)) @ unit_BHD
    last_BCH = candidates_BCD @ unit_BHD[:, :_RECENT_BEST].transpose(1, 2)
    padding_B1H = ((1.0 - mask_BH[:, :_RECENT_BEST]) * _FAR)[:, None]
    best_BC1 = (last_BCH + padding_B1H).amax(-1, keepdim=True)
    products_BCX = torch.cat([candidates_BCD @ means_BXD.transpose(1, 2), best_BC1], dim=-1)
    return products_BCX / _norm(candidates_BCD)


def id_embedding_features(candidates_BCE: Tensor, history_BHE: Tensor, mask_BH: Tensor) -> Tensor:
    """Cosine of a candidate's id embedding to those of the history, ``[B, C, 2]``: the mean and the best.

    The best is 1 for an item of the history.
    """
    unit_BHE = F.normalize(history_BHE, dim=-1)
    cosines_BCH = candidates_BCE @ unit_BHE.transpose(1, 2) / _norm(candidates_BCE)
    mean_BC1 = cosines_BCH @ _shares(mask_BH, (_ALL,)).transpose(1, 2)
    best_BC1 = (cosines_BCH * mask_BH[:, None] - (1.0 - mask_BH[:, None])).amax(-1, keepdim=True)
    return torch.cat([mean_BC1, best_BC1], dim=-1)


def match_features(
    candidates_BCF: Tensor, history_BHF: Tensor, values_BH: Tensor, mask_BH: Tensor, content_F: Tensor
) -> Tensor:
    """Shared categories ``[B, C, 3]``: with the last ten, with the last three, and weighted by the values.

    Cosines over the features where ``content_F`` is 1; 0 where a candidate or an item of the history has none.
    """
    unit_BHF = F.normalize(history_BHF * content_F, dim=-1)
    recent_BXH = _shares(mask_BH, (_RECENT_BEST, _SESSION, _ALL))
    all_B1H = recent_BXH[:, 2:]
    valued_B1H = all_B1H * (values_BH - (all_B1H @ values_BH[..., None])[..., 0])[:, None]
    columns_BXF = torch.cat([recent_BXH[:, :2], valued_B1H], dim=1) @ unit_BHF
    return candidates_BCF @ columns_BXF.transpose(1, 2) / _norm(candidates_BCF * content_F)


def _shares(mask_BH: Tensor, windows: tuple[int, ...]) -> Tensor:
    """The weights of means over the latest interactions, ``[B, X, H]``, one mean for each window."""
    places_H = torch.arange(mask_BH.shape[1], device=mask_BH.device)
    inside_XH = places_H < torch.tensor(windows, device=mask_BH.device)[:, None]
    weights_BXH: Tensor = inside_XH * mask_BH[:, None]
    return weights_BXH / weights_BXH.sum(-1, keepdim=True).clamp(min=1.0)


def _norm(rows: Tensor) -> Tensor:
    norm: Tensor = rows.norm(dim=-1, keepdim=True)
    return norm.clamp(min=_LEAST_NORM)
