"""From what the ranker predicts of each objective to one order."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from shortlist.bundle.ranker_columns import EVENT, Objective

# A value of zero or less has no logarithm, and a product none of its sign.
_LEAST_VALUE = float(np.finfo(np.float32).tiny)
# What a score is on the wire ends there.
_MOST_LOG_SCORE = math.log(np.finfo(np.float32).max)


@dataclass(frozen=True, kw_only=True)
class ScoreFusion:
    """The product of the objectives' predictions, each to its weight: the weighted product model (Bridgman, 1922).

    Of an event the prediction is its probability, of a value the value. ``weights`` are as many as there are
    objectives, and not all of them 0. ``columns`` are the ranker's, ``[..., objectives]``.
    """

    objectives: tuple[Objective, ...]
    weights: tuple[float, ...]

    @classmethod
    def of(cls, objectives: Iterable[Objective], weights: Mapping[str, float] | None = None) -> Self:
        """By the weights of the objectives named, 0 of all others; the objectives' own where there are none."""
        objectives = tuple(objectives)
        own = tuple(weights.get(objective.name, 0.0) if weights else objective.weight for objective in objectives)
        return cls(objectives=objectives, weights=own)

    def keys(self, columns: NDArray[np.float32]) -> NDArray[np.floating]:
        """What sorts candidates ``[...]``, higher is better; not finite where a prediction that counts is not."""
        if self._single is not None:
            # Log-odds are in the order of the probabilities, and that costs nothing.
            return columns[..., self._single]
        numbers, total = _finite(columns), np.zeros(columns.shape[:-1])
        for place, weight in enumerate(self.weights):
            if weight:
                column = numbers[..., place]
                is_event = self.objectives[place].kind == EVENT
                total += weight * (_log_sigmoid(column) if is_event else np.log(np.maximum(column, _LEAST_VALUE)))
        return total

    def scores(self, keys: NDArray[np.floating], predictions: NDArray[np.float32]) -> NDArray[np.float32]:
        """The product ``[...]`` of what has these keys and predictions; NaN where one that counts is not finite."""
        if self._single is not None:
            single: NDArray[np.float32] = predictions[..., self._single] ** np.float32(self.weights[self._single])
            return single
        product: NDArray[np.float32] = np.exp(np.minimum(keys, _MOST_LOG_SCORE)).astype(np.float32)
        return product

    def predictions(self, columns: NDArray[np.float32]) -> NDArray[np.float32]:
        """The probability of each event and each value ``[..., objectives]``; NaN where it is not finite."""
        numbers = _finite(columns)
        for place, objective in enumerate(self.objectives):
            if objective.kind == EVENT:
                numbers[..., place] = np.exp(_log_sigmoid(numbers[..., place]))
        return numbers.astype(np.float32)

    @cached_property
    def _single(self) -> int | None:
        """The place of the only objective that counts, if that is an event and the likelier the better."""
        (first, weight), *others = [(place, weight) for place, weight in enumerate(self.weights) if weight]
        return first if not others and weight > 0 and self.objectives[first].kind == EVENT else None


def _finite(columns: NDArray[np.float32]) -> NDArray[np.float64]:
    """With NaN in place of infinity: an infinite prediction is a broken one, whatever its logarithm."""
    return np.where(np.isfinite(columns), columns, np.nan).astype(np.float64)


def _log_sigmoid(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    logarithm: NDArray[np.float64] = np.minimum(log_odds, 0.0) - np.log1p(np.exp(-np.abs(log_odds)))
    return logarithm
