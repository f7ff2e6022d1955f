"""The losses of encoders, as pure functions.

Legend of shapes: P positions that are predicted, N items of the catalogue, S sampled negatives, D components, B users.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

_NEVER = -1e4


def full_softmax(queries_PD: Tensor, items_ND: Tensor, targets_P: Tensor, seen_PN: Tensor) -> Tensor:
    """Cross-entropy of the next item over the catalogue, ``[P]`` (Hidasi et al., 2016, arXiv:1511.06939; for the gain
    over one negative: Klenitskiy and Vasilev, 2023, arXiv:2309.07602).

    Items that the user already has are left out of the softmax, since they are never recommended; the target stays in.
    """
    seen_PN = seen_PN.scatter(1, targets_P[:, None], False)
    logits_PN = (queries_PD @ items_ND.T).masked_fill(seen_PN, _NEVER)
    return F.cross_entropy(logits_PN, targets_P, reduction="none")


def sampled_softmax(
    queries_PD: Tensor, positives_PD: Tensor, negatives_SD: Tensor, same_PS: Tensor, log_q_S: Tensor
) -> Tensor:
    """Cross-entropy over the target and sampled negatives, ``[P]``, from their vectors.

    ``log_q_S`` is the logarithm of each negative's expected count in the sample. Subtracted from the negatives' logits
    it makes their sum an unbiased estimate of the softmax's (Bengio and Senécal, 2008). The target's logit is exact and
    needs no correction. A negative that equals the target (``same_PS``) counts once.
    """
    positive_P = (queries_PD * positives_PD).sum(-1)
    negative_PS = (queries_PD @ negatives_SD.T - log_q_S).masked_fill(same_PS, _NEVER)
    logits = torch.cat([positive_P[:, None], negative_PS], dim=1)
    return F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long), reduction="none")


def inner_products(
    queries_PD: Tensor, positives_PD: Tensor, negatives_SD: Tensor, same_PS: Tensor
) -> tuple[Tensor, Tensor]:
    """Scores of the targets ``[P]`` and of sampled negatives ``[P, S]``, very low where a negative is the target."""
    negatives_PS = (queries_PD @ negatives_SD.T).masked_fill(same_PS, _NEVER)
    return (queries_PD * positives_PD).sum(-1), negatives_PS


def multinomial(wanted_B: Tensor, logits_BS: Tensor, counts_B: Tensor) -> Tensor:
    """Minus the log-likelihood of histories as draws from a softmax over items, ``[B]`` (Liang et al., 2018,
    arXiv:1802.05814).

    ``wanted_B`` is the sum of the logits of a user's ``counts_B`` interactions. ``logits_BS`` are those of every item,
    or of a uniform sample, which shifts the loss by about a constant.
    """
    return counts_B * logits_BS.logsumexp(dim=-1) - wanted_B


def bpr(positive_P: Tensor, negatives_PS: Tensor) -> Tensor:
    """Minus the logarithm of the chance that the positive beats a negative, the mean over the negatives, ``[P]``
    (Rendle et al., 2009, arXiv:1205.2618).
    """
    return F.softplus(negatives_PS - positive_P[:, None]).mean(dim=-1)


def cosine_contrastive(positive_P: Tensor, negatives_PS: Tensor, margin: float, weight: float) -> Tensor:
    """One minus the positive's cosine, and the weighted mean of what negatives have above the margin, ``[P]`` (CCL of
    SimpleX: Mao et al., 2021, arXiv:2109.12613).
    """
    return 1.0 - positive_P + weight * F.relu(negatives_PS - margin).mean(dim=-1)


def binary_cross_entropy(positive_P: Tensor, negatives_PS: Tensor) -> Tensor:
    """Cross-entropy of the positive being chosen and a negative not, the mean over the negatives, ``[P]`` (Kang and
    McAuley, 2018, arXiv:1808.09781, who draw one).
    """
    return F.softplus(-positive_P) + F.softplus(negatives_PS).mean(dim=-1)


def info_nce(vectors_PD: Tensor, others_PD: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of each vector's own pair among all P by their cosines, ``[P]`` (van den Oord et al., 2018,
    arXiv:1807.03748).
    """
    logits_PP = F.normalize(vectors_PD, dim=-1) @ F.normalize(others_PD, dim=-1).T / temperature
    return F.cross_entropy(logits_PP, torch.arange(len(logits_PP)), reduction="none")
