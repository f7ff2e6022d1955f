"""One run of an encoder's training: epochs until the validation stops improving."""

import copy
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from trainer.data import Dataset
from trainer.data.split import subsample
from trainer.evaluation.metrics import depth_of, figures
from trainer.evaluation.queries import Queries
from trainer.evaluation.rankings import rankings
from trainer.models.encoders import Encoder, EncoderDataSpec
from trainer.models.encoders.encoded import Encoded
from trainer.models.registry import build_encoder
from trainer.progress import Reporter
from trainer.protocols.task import Task
from trainer.recipe.models import EncoderConfig, GradientConfig, IterativeConfig

_VALUE_BUCKETS = 16
_MOST_QUESTIONS = 10_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Validation:
    """The validation that chooses an epoch: its queries, the reported metrics and the metric ``chosen_by``.

    Queries are neither training data nor test data. The popularity of items is counted before ``end``. At most
    ten thousand queries judge an epoch, the same ones each time.
    """

    queries: Queries
    metrics: tuple[str, ...]
    chosen_by: str
    end: int

    @classmethod
    def of(cls, task: Task) -> Self:
        """The validation of a task."""
        return cls(queries=task.validation, metrics=task.metrics[:3], chosen_by=task.chosen_by, end=task.learn_end)

    def figures(self, encoded: Encoded) -> dict[str, float]:
        """The metrics of an encoder on the validation."""
        names = tuple(dict.fromkeys((self.chosen_by, *self.metrics)))
        return figures(rankings(encoded.scores, self.judged, depth_of(names), self.end), names)

    @property
    def judged(self) -> Queries:
        """The queries that judge an epoch, evenly spaced among all."""
        return self.queries.at(subsample(np.arange(len(self.queries)), _MOST_QUESTIONS))


@dataclass(frozen=True, kw_only=True, eq=False)
class Trained:
    """An encoder in evaluation mode, the number of its epochs, and the figures of each epoch of the run."""

    encoder: Encoder
    epochs: int
    curve: tuple[dict[str, float], ...]


class EncoderTraining(ABC):
    """An encoder in training, on the events before ``end``. Each training is a subclass in a file of its own."""

    name: ClassVar[str]
    """The name that encoders give this training."""
    encoder: Encoder
    config: EncoderConfig

    def __init__(self, dataset: Dataset, end: int, config: EncoderConfig, seed: int) -> None:
        torch.manual_seed(seed)
        self.config = config
        self.encoder = build_encoder(config, encoder_data_spec(dataset, end))

    @abstractmethod
    def epoch(self, reporter: Reporter, name: str) -> float:
        """One pass over the training data; returns the mean loss."""

    @abstractmethod
    def run(self, reporter: Reporter, validation: Validation | None, epochs: int | None) -> Trained:
        """The trained encoder: of the best epoch by the validation, or without one after the last of ``epochs``.

        None stands for the epochs of the recipe.
        """

    def _learn(self, reporter: Reporter, validation: Validation | None, epochs: int, patience: int) -> Trained:
        """Ends early after ``patience`` epochs in a row that the validation finds no better."""
        if validation is not None:
            count, known = len(validation.judged), len(validation.queries)
            reporter.say(f"encoder: {count:,} of {known:,} validation questions choose the epoch")
        best, best_epoch, best_state = -1.0, epochs, None
        curve: list[dict[str, float]] = []
        for epoch in range(1, epochs + 1):
            started, name = time.monotonic(), f"encoder epoch {epoch}/{epochs}"
            found = {"loss": self.epoch(reporter, name)}
            if validation is not None:
                found |= validation.figures(self._encoded())
                if found[validation.chosen_by] > best:
                    best, best_epoch = found[validation.chosen_by], epoch
                    best_state = copy.deepcopy(self.encoder.state_dict())
            shown = "  ".join(f"{key} {value:.4f}" for key, value in found.items())
            reporter.say(f"{name}  {shown}  {time.monotonic() - started:.1f} s")
            curve.append(found)
            if validation is not None and epoch - best_epoch == patience:
                break
        if best_state is not None:
            self.encoder.load_state_dict(best_state)
        return Trained(encoder=self.encoder.eval(), epochs=best_epoch, curve=tuple(curve))

    def _encoded(self) -> Encoded:
        return Encoded.of(self.encoder.eval(), self.config.history)


class IterativeTraining(EncoderTraining):
    """The epochs and the patience of the recipe."""

    config: IterativeConfig

    def run(self, reporter: Reporter, validation: Validation | None, epochs: int | None) -> Trained:
        """See :class:`EncoderTraining`."""
        return self._learn(reporter, validation, self.config.epochs if epochs is None else epochs, self.config.patience)


class GradientTraining(IterativeTraining):
    """Training by gradient descent."""

    config: GradientConfig

    def known_by_history(self, users: int) -> Tensor:
        """A random mask ``[users, 1]`` (bool): False for users whose histories this step drops."""
        if self.encoder.by_features is None:
            return torch.ones((users, 1), dtype=torch.bool)
        return torch.rand(users, 1) >= self.config.history_dropout


def encoder_data_spec(dataset: Dataset, end: int) -> EncoderDataSpec:
    """The spec of an encoder of this data. Values are cut into buckets at their quantiles before event ``end``."""
    values = dataset.known_values(end)
    quantiles = np.linspace(0, 1, _VALUE_BUCKETS + 1)[:-1]
    edges = np.unique(np.quantile(values, quantiles)) if len(values) else np.zeros(0)
    features = dataset.item_features.matrix
    return EncoderDataSpec(
        items=len(dataset.item_ids),
        # A linear map needs at least one column.
        item_features=features if features.shape[1] else np.zeros((len(features), 1), dtype=np.float32),
        learnt=np.bincount(dataset.item_rows[:end], minlength=len(dataset.item_ids)) > 0,
        user_features=len(dataset.user_features.names) and dataset.known_user_features.shape[1],
        value_edges=edges.astype(np.float32),
        events=len(dataset.event_names),
    )
