"""The losses, as pure functions.

Legend of shapes: P positions that are predicted, N items of the catalogue, S sampled negatives, D components, B users,
C candidates.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

_NEVER = -1e4


def full_softmax(queries_PD: Tensor, items_ND: Tensor, targets_P: Tensor, seen_PN: Tensor) -> Tensor:
    """Cross-entropy of the next item over the catalogue, ``[P]``.

    What the user already has is left out of the softmax, since it is never recommended either; the target never is.
    """
    seen_PN = seen_PN.scatter(1, targets_P[:, None], False)
    logits_PN = (queries_PD @ items_ND.T).masked_fill(seen_PN, _NEVER)
    return F.cross_entropy(logits_PN, targets_P, reduction="none")


def sampled_softmax(
    queries_PD: Tensor, positives_PD: Tensor, negatives_SD: Tensor, same_PS: Tensor, log_q_S: Tensor
) -> Tensor:
    """Cross-entropy over the target and sampled negatives, ``[P]``, from their vectors.

    ``log_q_S`` is the logarithm of how often each negative is expected in the sample. Taken off the negatives' logits
    it makes their sum an unbiased estimate of the softmax's (Bengio and Senécal, 2008); the target's is exact already
    and left uncorrected. A negative that is the target, as ``same_PS`` says, counts once.
    """
    positive_P = (queries_PD * positives_PD).sum(-1)
    negative_PS = (queries_PD @ negatives_SD.T - log_q_S).masked_fill(same_PS, _NEVER)
    logits = torch.cat([positive_P[:, None], negative_PS], dim=1)
    return F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long), reduction="none")


def listwise_softmax(scores_BC: Tensor, chosen_B: Tensor) -> Tensor:
    """Cross-entropy of the candidate that was chosen over the list it was chosen from, ``[B]`` (ListNet's top-one)."""
    return F.cross_entropy(scores_BC, chosen_B, reduction="none")


def squared_error(predicted_BC: Tensor, chosen_B: Tensor, values_B: Tensor) -> Tensor:
    """Squared error of the value predicted for the chosen candidate, ``[B]``; 0 where the value is unknown (NaN)."""
    predicted_B = predicted_BC.gather(1, chosen_B[:, None])[:, 0]
    known_B = values_B.isfinite()
    return torch.where(known_B, predicted_B - values_B.nan_to_num(), 0.0).square()


def weighted_mean(losses_P: Tensor, weights_P: Tensor) -> Tensor:
    """The mean under weights that need not sum to one; 0 when they are all 0."""
    return (losses_P * weights_P).sum() / weights_P.sum().clamp(min=1e-9)
