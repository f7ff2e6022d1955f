"""From a ranker's columns to probabilities that can be believed, which a product of objectives needs.

Platt scaling (Platt, 1999, "Probabilistic outputs for support vector machines"): the log-odds a x + b of the most
likely a and b, where a is above 0, so that no order changes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize

from trainer.evaluation.classification import Outcomes, calibration_error, sigmoid
from trainer.models.rankers import Ranker

_LEAST_SLOPE = 1e-3
_LEAST_SPREAD = 1e-6


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """An objective's ``slope`` and ``shift``, and the expected calibration error of what they were found on, before and
    after it."""

    slope: float
    shift: float
    error_before: float
    error_after: float

    def undone(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """What log-odds were before."""
        return np.asarray((logits - self.shift) / self.slope, dtype=np.float32)


def platt(outcomes: Outcomes) -> Calibration:
    """Of maximum likelihood; an objective that was never reached, or always, stays as it is.

    The labels are Platt's, drawn a row's worth to the other side, so that what can be told apart without fail has a
    slope as well.
    """
    logits, labels = outcomes.logits, outcomes.labels
    before = calibration_error(logits, labels) if len(logits) else 0.0
    ones = int(labels.sum())
    if ones in {0, len(labels)}:
        return Calibration(slope=1.0, shift=0.0, error_before=before, error_after=before)
    wanted = np.where(labels, (ones + 1) / (ones + 2), 1 / (len(labels) - ones + 2))
    slope, shift = _most_likely(logits.astype(np.float64), wanted)
    after = calibration_error(slope * logits + shift, labels)
    return Calibration(slope=slope, shift=shift, error_before=before, error_after=after)


def calibrate(ranker: Ranker, found: Mapping[str, Calibration]) -> None:
    """Sets it on the ranker's columns of these objectives."""
    slopes, shifts = torch.ones_like(ranker.scale_G), torch.zeros_like(ranker.shift_G)
    for place, objective in enumerate(ranker.spec.objectives):
        if objective.name in found:
            slopes[place], shifts[place] = found[objective.name].slope, found[objective.name].shift
    ranker.calibrate(slopes, shifts)


def _most_likely(logits: NDArray[np.float64], wanted: NDArray[np.float64]) -> tuple[float, float]:
    # On one scale, in which both are about as steep.
    mean, spread = float(logits.mean()), max(float(logits.std()), _LEAST_SPREAD)
    scaled = (logits - mean) / spread

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        said = parameters[0] * scaled + parameters[1]
        beside = sigmoid(said) - wanted
        value = (np.logaddexp(0.0, said) - wanted * said).mean()
        return float(value), np.array([(beside * scaled).mean(), beside.mean()])

    share = wanted.mean()
    start = np.array([spread, np.log(share / (1 - share))])
    bounds = [(_LEAST_SLOPE * spread, None), (None, None)]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-12})
    slope, shift = (float(one) for one in found.x)
    return slope / spread, shift - slope * mean / spread
