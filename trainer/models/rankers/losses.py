"""The losses of rankers, as pure functions.

Legend of shapes: P predictions, B users, C candidates.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def listwise_softmax(scores_BC: Tensor, chosen_B: Tensor) -> Tensor:
    """Cross-entropy of the chosen candidate over its list, ``[B]`` (ListNet's top-one: Cao et al., 2007, doi
    10.1145/1273496.1273513).
    """
    return F.cross_entropy(scores_BC, chosen_B, reduction="none")


def squared_error(predicted_BC: Tensor, chosen_B: Tensor, values_B: Tensor) -> Tensor:
    """Squared error of the value predicted for the chosen candidate, ``[B]``; 0 where the value is unknown (NaN)."""
    return error_of_values(predicted_BC.gather(1, chosen_B[:, None])[:, 0], values_B)


def log_loss(log_odds_B: Tensor, happened_B: Tensor) -> Tensor:
    """Cross-entropy of an event's log-odds with its label, 1 or 0, ``[B]``; 0 where it was not observed (NaN)."""
    loss_B = F.binary_cross_entropy_with_logits(log_odds_B, happened_B.nan_to_num(), reduction="none")
    return torch.where(happened_B.isfinite(), loss_B, 0.0)


def error_of_values(predicted_B: Tensor, values_B: Tensor) -> Tensor:
    """Squared error, ``[B]``; 0 where the value is unknown (NaN)."""
    return torch.where(values_B.isfinite(), predicted_B - values_B.nan_to_num(), 0.0).square()


def weighted_mean(losses_P: Tensor, weights_P: Tensor) -> Tensor:
    """The mean under weights that need not sum to one; 0 when they are all 0."""
    return (losses_P * weights_P).sum() / weights_P.sum().clamp(min=1e-9)
