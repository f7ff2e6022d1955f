"""From a ranker's logits to calibrated probabilities, which a product of objectives needs.

Platt scaling (Platt, 1999, "Probabilistic outputs for support vector machines"): log-odds a x + b with the a and b of
maximum likelihood. With a above 0, no order changes.
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
    """An objective's ``slope`` and ``shift``, and the expected calibration error before and after, on the same data."""

    slope: float
    shift: float
    error_before: float
    error_after: float

    def undone(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """The log-odds before the calibration."""
        return np.asarray((logits - self.shift) / self.slope, dtype=np.float32)


def platt(outcomes: Outcomes) -> Calibration:
    """The calibration of maximum likelihood; an objective that never or always happened stays as it is.

    The labels are smoothed by one row, as in Platt, so that perfectly separable outcomes have a finite slope.
    """
    logits, labels = outcomes.logits, outcomes.labels
    before = calibration_error(logits, labels) if len(logits) else 0.0
    ones = int(labels.sum())
    if ones in {0, len(labels)}:
        return Calibration(slope=1.0, shift=0.0, error_before=before, error_after=before)
    smoothed = np.where(labels, (ones + 1) / (ones + 2), 1 / (len(labels) - ones + 2))
    slope, shift = _most_likely(logits.astype(np.float64), smoothed)
    after = calibration_error(slope * logits + shift, labels)
    return Calibration(slope=slope, shift=shift, error_before=before, error_after=after)


def calibrate(ranker: Ranker, found: Mapping[str, Calibration]) -> None:
    """Applies the calibrations to the ranker's logits of these objectives."""
    slopes, shifts = torch.ones_like(ranker.scale_G), torch.zeros_like(ranker.shift_G)
    for place, objective in enumerate(ranker.spec.objectives):
        if objective.name in found:
            slopes[place], shifts[place] = found[objective.name].slope, found[objective.name].shift
    ranker.calibrate(slopes, shifts)


def _most_likely(logits: NDArray[np.float64], labels: NDArray[np.float64]) -> tuple[float, float]:
    # On a scale in which the loss is about as steep in both parameters.
    mean, spread = float(logits.mean()), max(float(logits.std()), _LEAST_SPREAD)
    scaled = (logits - mean) / spread

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        log_odds = parameters[0] * scaled + parameters[1]
        residual = sigmoid(log_odds) - labels
        value = (np.logaddexp(0.0, log_odds) - labels * log_odds).mean()
        return float(value), np.array([(residual * scaled).mean(), residual.mean()])

    share = labels.mean()
    start = np.array([spread, np.log(share / (1 - share))])
    bounds = [(_LEAST_SLOPE * spread, None), (None, None)]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-12})
    slope, shift = (float(one) for one in found.x)
    return slope / spread, shift - slope * mean / spread
