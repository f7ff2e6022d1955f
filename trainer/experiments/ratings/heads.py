"""From scores to ratings, and how far they are off."""

import math
from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Tensor, nn

from trainer.experiments.ratings.known import Batch, Known
from trainer.experiments.ratings.ratings import Scale

_LEAST_LIKELIHOOD = 1e-6
_PRIOR_RATINGS, _PRIOR_VARIANCE = 5.0, 1.0
_OF_SHARPNESS = 10.0
_LOGISTIC_DEVIATION = math.pi / math.sqrt(3)


class Head(nn.Module, ABC):
    """Makes deviations of scores."""

    @abstractmethod
    def values(self, scores_N: Tensor, batch: Batch) -> Tensor:
        """Expected deviations ``[N]``."""

    @abstractmethod
    def loss(self, scores_N: Tensor, batch: Batch) -> Tensor:
        """Mean over ratings that are learnt from."""

    @abstractmethod
    def penalty(self, of_biases: float) -> Tensor:
        """The penalty, on the scale of the model's."""


class Squares(Head):
    """The score is the deviation."""

    def values(self, scores_N: Tensor, batch: Batch) -> Tensor:
        """See :class:`Head`."""
        return scores_N

    def loss(self, scores_N: Tensor, batch: Batch) -> Tensor:
        """The squared error."""
        return ((scores_N - batch.deviations_N) ** 2).mean()

    def penalty(self, of_biases: float) -> Tensor:
        """See :class:`Head`."""
        return torch.zeros(())


class Levels(Head):
    """The log-odds that a rating is above a threshold are its distance from the score, times how sharply a user rates.

    This is OrdRec (Koren and Sill, 2011) with the same thresholds for all users. The sharpness depends on the variance
    of a user's ratings beyond the item means, and on a weight of the user. ``share`` of the loss is the negative
    log-likelihood of the level, the rest the squared error of the expected level.
    """

    def __init__(self, known: Known, scale: Scale, share: float) -> None:
        super().__init__()
        levels = (scale.levels - scale.mean) / scale.unit
        middles = torch.from_numpy(((levels[1:] + levels[:-1]) / 2).astype(np.float32))
        self.known, self.share = known, share
        self.middles_R, self.steps_R = middles, torch.from_numpy(np.diff(levels).astype(np.float32))
        self.lowest = float(levels[0])
        spread = float(known.residuals.deviations.std())
        self.thresholds_R = nn.Parameter(middles.clone())
        self.sharpness = nn.Parameter(torch.tensor(math.log(_LOGISTIC_DEVIATION / spread)))
        self.of_variance = nn.Parameter(torch.tensor(0.0))
        self.sharpness_U = nn.Parameter(torch.zeros(known.residuals.users))

    def values(self, scores_N: Tensor, batch: Batch) -> Tensor:
        """See :class:`Head`."""
        return self._expected(self._above(scores_N, batch))

    def loss(self, scores_N: Tensor, batch: Batch) -> Tensor:
        """See the class."""
        above_NR = self._above(scores_N, batch)
        ends = above_NR.new_ones(len(above_NR), 1)
        bounds = torch.cat([ends, above_NR, 0 * ends], dim=1)
        level_N1 = torch.bucketize(batch.deviations_N, self.middles_R)[:, None]
        likelihood_N = (bounds.gather(1, level_N1) - bounds.gather(1, level_N1 + 1)).squeeze(1)
        squares = ((self._expected(above_NR) - batch.deviations_N) ** 2).mean()
        return (1 - self.share) * squares - self.share * likelihood_N.clamp(min=_LEAST_LIKELIHOOD).log().mean()

    def penalty(self, of_biases: float) -> Tensor:
        """See :class:`Head`."""
        return of_biases * _OF_SHARPNESS * (self.known.counts_U * self.sharpness_U**2).sum()

    def _above(self, scores_N: Tensor, batch: Batch) -> Tensor:
        users_N = batch.user_rows
        squares_N = self.known.squares_U[users_N] - batch.beyond_item_N**2
        counts_N = self.known.counts_U[users_N] - float(batch.learnt)
        variance_N = (squares_N + _PRIOR_RATINGS * _PRIOR_VARIANCE) / (counts_N + _PRIOR_RATINGS)
        user_N = self.sharpness_U.index_select(0, users_N)
        sharpness_N = (self.sharpness + self.of_variance * variance_N.log() + user_N).exp()
        return torch.sigmoid(sharpness_N[:, None] * (scores_N[:, None] - self.thresholds_R))

    def _expected(self, above_NR: Tensor) -> Tensor:
        return self.lowest + above_NR @ self.steps_R
