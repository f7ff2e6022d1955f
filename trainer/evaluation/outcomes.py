"""How well what came of impressions was foretold, all in double precision.

AUC is the share of pairs, of one with the event and one without, that are in the right order, half of equal ones
counted (Hanley and McNeil, 1982). GAUC is the mean of the users' own AUC, weighted by their impressions, of users who
have both (Zhu et al., 2017, arXiv:1703.02091); strangers are nobody's.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


def figures_of_events(log_odds: Floats, happened: Floats, users: NDArray[np.int64]) -> dict[str, float]:
    """``auc``, ``gauc`` and ``logloss`` of n predictions, all arguments ``[n]``, of whom ``users`` are -1 for
    strangers. Where there is no pair to put in order an AUC is a half.
    """
    known = users >= 0
    return {
        "auc": auc(log_odds, happened),
        "gauc": grouped_auc(log_odds[known], happened[known], users[known]),
        "logloss": log_loss(log_odds, happened),
    }


def figures_of_values(predicted: Floats, values: Floats) -> dict[str, float]:
    """``rmse`` and ``mae`` of n predictions."""
    errors = predicted.astype(np.float64) - values
    return {"rmse": float(np.sqrt(np.square(errors).mean())), "mae": float(np.abs(errors).mean())}


def auc(scores: Floats, happened: Floats) -> float:
    """See the module."""
    return grouped_auc(scores, happened, np.zeros(len(scores), dtype=np.int64))


def grouped_auc(scores: Floats, happened: Floats, groups: NDArray[np.int64]) -> float:
    """See the module; 0.5 when no group has both."""
    if not len(scores):
        return 0.5
    order = np.lexsort((scores, groups))
    positive, group = happened[order] > 0, groups[order]
    _, first, owner = np.unique(group, return_index=True, return_inverse=True)
    ranks = _mean_places(scores[order], group) - first[owner]
    count = np.bincount(owner).astype(np.float64)
    positives = np.bincount(owner, weights=positive)
    pairs = positives * (count - positives)
    below = np.bincount(owner, weights=ranks * positive) - positives * (positives - 1) / 2
    both = pairs > 0
    if not both.any():
        return 0.5
    return float(np.average(below[both] / pairs[both], weights=count[both]))


def log_loss(log_odds: Floats, happened: Floats) -> float:
    """The mean of minus the logarithm of the probability given to what happened."""
    signed = np.where(happened > 0, -1.0, 1.0) * log_odds.astype(np.float64)
    return float(np.logaddexp(0.0, signed).mean())


def _mean_places(scores: Floats, groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """The 0-based place of each of the sorted scores; equal ones of a group share the mean of theirs."""
    new = np.ones(len(scores), dtype=np.bool_)
    new[1:] = (scores[1:] != scores[:-1]) | (groups[1:] != groups[:-1])
    starts = np.flatnonzero(new)
    ends = np.append(starts[1:], len(scores))
    return np.repeat((starts + ends - 1) / 2, ends - starts)
