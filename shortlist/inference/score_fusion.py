"""Score fusion: from the ranker's logits for each objective to one score."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from shortlist.bundle.ranker_columns import EVENT, VALUE, Objective

# A value of zero or less has no logarithm. Data with such values is refused, but a model may predict one.
_LEAST_VALUE = float(np.finfo(np.float32).tiny)
# The largest score that a float32 on the wire can hold.
_MOST_LOG_SCORE = math.log(np.finfo(np.float32).max)


@dataclass(frozen=True, kw_only=True)
class ScoreFusion:
    """The product of the predictions, each raised to its weight: the weighted product model (Bridgman, 1922).

    The prediction for an event is its probability, for a value the value. A value with the only weight is not raised:
    its order is that of the predicted values, of whatever sign. A negative weight reverses it. There
    are as many ``weights`` as ``objectives``, and at least one is not 0. Methods take the ranker's logits
    ``[..., objectives]``.
    """

    objectives: tuple[Objective, ...]
    weights: tuple[float, ...]

    @classmethod
    def of(cls, objectives: Iterable[Objective], weights: Mapping[str, float] | None = None) -> Self:
        """The fusion with the weights given by name, 0 for others; with the objectives' own when none is given."""
        objectives = tuple(objectives)
        own = tuple(weights.get(objective.name, 0.0) if weights else objective.weight for objective in objectives)
        return cls(objectives=objectives, weights=own)

    def keys(self, logits: NDArray[np.float32]) -> NDArray[np.floating]:
        """Sort keys ``[...]``, higher is better; not finite where a prediction with a weight is not finite."""
        if self._single is not None:
            # Log-odds have the order of the probabilities, and cost nothing.
            return logits[..., self._single]
        if self._single_value is not None:
            place, sign = self._single_value
            return sign * logits[..., place]
        numbers, total = _finite(logits), np.zeros(logits.shape[:-1])
        for place, weight in enumerate(self.weights):
            if weight:
                column = numbers[..., place]
                is_event = self.objectives[place].kind == EVENT
                total += weight * (_log_sigmoid(column) if is_event else np.log(np.maximum(column, _LEAST_VALUE)))
        return total

    def scores(self, keys: NDArray[np.floating], predictions: NDArray[np.float32]) -> NDArray[np.float32]:
        """The products ``[...]`` for these keys and predictions; NaN where a prediction with a weight is not finite.

        A value with the only weight is its own score, with the sign of the weight.
        """
        if self._single_value is not None:
            place, sign = self._single_value
            value: NDArray[np.float32] = np.float32(sign) * predictions[..., place]
            return value
        if self._single is not None:
            single: NDArray[np.float32] = predictions[..., self._single] ** np.float32(self.weights[self._single])
            return single
        product: NDArray[np.float32] = np.exp(np.minimum(keys, _MOST_LOG_SCORE)).astype(np.float32)
        return product

    def predictions(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """The probability of each event, and each value, ``[..., objectives]``; NaN where the logit is not finite."""
        numbers = _finite(logits)
        for place, objective in enumerate(self.objectives):
            if objective.kind == EVENT:
                numbers[..., place] = np.exp(_log_sigmoid(numbers[..., place]))
        return numbers.astype(np.float32)

    @cached_property
    def _single(self) -> int | None:
        """The position of the only objective with a weight, if it is an event and the weight is positive."""
        (first, weight), *others = self._weighted
        return first if not others and weight > 0 and self.objectives[first].kind == EVENT else None

    @cached_property
    def _single_value(self) -> tuple[int, int] | None:
        """The position of the only objective with a weight, if it is a value, and the sign of the weight."""
        (first, weight), *others = self._weighted
        return (first, 1 if weight > 0 else -1) if not others and self.objectives[first].kind == VALUE else None

    @cached_property
    def _weighted(self) -> list[tuple[int, float]]:
        return [(place, weight) for place, weight in enumerate(self.weights) if weight]


def _finite(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """With NaN in place of infinity: an infinite logit means a broken model, whatever its logarithm."""
    return np.where(np.isfinite(logits), logits, np.nan).astype(np.float64)


def _log_sigmoid(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    logarithm: NDArray[np.float64] = np.minimum(log_odds, 0.0) - np.log1p(np.exp(-np.abs(log_odds)))
    return logarithm
