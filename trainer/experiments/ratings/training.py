"""Training over the whole matrix of ratings, a batch of users at a time."""

import math
import time

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainer.errors import DataError
from trainer.experiments.ratings.heads import Head, Levels, Squares
from trainer.experiments.ratings.known import Batch, Known
from trainer.experiments.ratings.model import TwoSided
from trainer.experiments.ratings.ratings import Floats, Ints, Ratings, Scale
from trainer.experiments.ratings.residuals import Residuals
from trainer.progress import Reporter
from trainer.recipe import RatingsConfig

_WARM_UP = 10
_DECAY = 0.95
_OF_BIASES = 0.01
_OF_FEATURES = 1e-4
_MOST_LEVELS = 100
# About as many epochs of a run are a line each, the first among them.
_LINES = 5


class RatingTraining:
    """One run over ratings; ``user_features`` are ``[U, F]``, ``item_features`` ``[I, G]``.

    The rate of Adam rises for ten steps and then falls like a cosine (Loshchilov and Hutter, 2017). The moving average
    of the weights is kept.

    Raises:
        DataError: all ratings are the same, or they have more different values than can be levels.
    """

    def __init__(
        self, ratings: Ratings, user_features: Floats, item_features: Floats, recipe: RatingsConfig, seed: int
    ) -> None:
        torch.manual_seed(seed)
        self._random, self._recipe = np.random.default_rng(seed), recipe
        self._scale = Scale.of(ratings)
        if recipe.ordinal and len(self._scale.levels) > _MOST_LEVELS:
            raise DataError(
                f"{len(self._scale.levels):,} different ratings; of more than {_MOST_LEVELS}, [ratings] ordinal has "
                "to be 0"
            )
        self._known = Known.of(Residuals.of(ratings, self._scale))
        users, items = torch.from_numpy(user_features), torch.from_numpy(item_features)
        self._model = TwoSided(self._known, users, items, recipe.dimension, recipe.dropout)
        self._head = Levels(self._known, self._scale, recipe.ordinal) if recipe.ordinal else Squares()
        self._parameters = [*self._model.parameters(), *self._head.parameters()]

    def run(self, reporter: Reporter, name: str) -> "TrainedRatings":
        """Trains for the recipe's epochs."""
        batches = self._batches()
        steps = self._recipe.epochs * len(batches)
        optimiser = torch.optim.Adam(self._parameters, lr=self._recipe.learning_rate, betas=(0.9, 0.99))
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, steps))
        averages, step = [one.detach().clone() for one in self._parameters], 0
        self._model.train()
        for epoch in reporter.track(range(self._recipe.epochs), name):
            started, total = time.monotonic(), 0.0
            for place in self._random.permutation(len(batches)):
                optimiser.zero_grad()
                loss = self._loss(batches[place])
                loss.backward()  # type: ignore[no-untyped-call]
                total += loss.item() / len(batches)
                optimiser.step()
                schedule.step()
                step += 1
                _move(averages, self._parameters, 1.0 if step <= _WARM_UP else 1 - _DECAY)
            if epoch % max(1, self._recipe.epochs // _LINES) == 0:
                seconds = time.monotonic() - started
                reporter.say(f"{name}, epoch {epoch + 1}/{self._recipe.epochs}  loss {total:.4f}  {seconds:.1f} s")
        _move(self._parameters, averages, 1.0)
        return TrainedRatings(self._model.eval(), self._head, self._scale, self._recipe.batch_size)

    def _batches(self) -> list[Batch]:
        residuals = self._known.residuals
        users = self._random.permutation(residuals.users)
        parts = np.array_split(users, math.ceil(len(users) / self._recipe.batch_size))
        batches = [Batch.to_learn(residuals, part) for part in parts]
        return [batch for batch in batches if len(batch.items_N)]

    def _loss(self, batch: Batch) -> Tensor:
        recipe, model = self._recipe, self._model
        penalty = model.penalty(recipe.regularisation, recipe.history_regularisation, _OF_BIASES)
        penalty = (penalty + self._head.penalty(_OF_BIASES)) / len(self._known.residuals.deviations)
        of_features = _OF_FEATURES * ((model.A_FK**2).sum() + (model.B_GK**2).sum())
        return self._head.loss(model(batch), batch) + penalty + of_features


class TrainedRatings:
    """Predicts ratings of users and items from those it was trained on."""

    def __init__(self, model: TwoSided, head: Head, scale: Scale, batch_size: int) -> None:
        self._model, self._head, self._scale, self._batch_size = model, head, scale, batch_size

    @torch.no_grad()
    def predict(self, user_rows: Ints, item_rows: Ints) -> NDArray[np.float64]:
        """Ratings ``[N]`` of pairs that are not among those it was trained on, within their scale."""
        residuals, predicted = self._model.known.residuals, np.zeros(len(user_rows))
        for first in range(0, residuals.users, self._batch_size):
            users = np.arange(first, min(first + self._batch_size, residuals.users))
            places = np.flatnonzero((user_rows >= users[0]) & (user_rows <= users[-1]))
            if len(places):
                batch = Batch.to_ask(residuals, users, user_rows[places], item_rows[places])
                deviations = self._head.values(self._model(batch), batch).numpy()
                predicted[places] = self._scale.clipped(deviations)
        return predicted


def _rate(step: int, steps: int) -> float:
    return min(1.0, (step + 1) / _WARM_UP) * (1 + math.cos(math.pi * step / steps)) / 2


@torch.no_grad()
def _move(those: list[Tensor] | list[nn.Parameter], towards: list[Tensor] | list[nn.Parameter], share: float) -> None:
    for one, other in zip(those, towards, strict=True):
        one.lerp_(other, share)
