"""Training stage one."""

import copy
import time
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from trainer import losses
from trainer.data import Dataset
from trainer.encode import Encoded
from trainer.encoder_batches import EncoderBatch, EncoderBatches, Negatives
from trainer.encoder_optimiser import EncoderOptimiser
from trainer.encoders import Encoder, EncoderSizes, SequenceEncoder, build_encoder
from trainer.evaluation import rankings
from trainer.metrics import depth_of, figures
from trainer.progress import Reporter
from trainer.protocols import Task
from trainer.queries import Queries
from trainer.recipe import Encoder as EncoderRecipe

_VALUE_BUCKETS = 16


@dataclass(frozen=True, kw_only=True, eq=False)
class Validation:
    """What decides: queries of what is not learnt from, and never of the test, the metrics shown and the one chosen by.

    The share of users who have an item is of the events before ``end``.
    """

    queries: Queries
    metrics: tuple[str, ...]
    chosen_by: str
    end: int

    @classmethod
    def of(cls, task: Task) -> Self:
        """That of a task."""
        return cls(queries=task.validation, metrics=task.metrics[:3], chosen_by=task.chosen_by, end=task.learn_end)

    def figures(self, encoded: Encoded) -> dict[str, float]:
        """The metrics of an encoder."""
        names = tuple(dict.fromkeys((self.chosen_by, *self.metrics)))
        return figures(rankings(encoded.scores, self.queries, depth_of(names), self.end), names)


@dataclass(frozen=True, kw_only=True, eq=False)
class Trained:
    """An encoder, ready to be used, the epochs it took, and a line of figures for each epoch that was tried."""

    encoder: Encoder
    epochs: int
    curve: tuple[dict[str, float], ...]


def fit_encoder(
    dataset: Dataset,
    end: int,
    recipe: EncoderRecipe,
    seed: int,
    reporter: Reporter,
    validation: Validation | None,
    epochs: int | None = None,
) -> Trained:
    """Learns from the events before ``end``: until the validation's best epoch, or without one for so many epochs."""
    training = NextItemTraining(dataset, end, recipe, seed)
    return training.run(reporter, validation, recipe.epochs if epochs is None else epochs)


class NextItemTraining:
    """One run of an encoder that learns from every place of every history what comes next."""

    def __init__(self, dataset: Dataset, end: int, recipe: EncoderRecipe, seed: int) -> None:
        torch.manual_seed(seed)
        self._recipe = recipe
        encoder = build_encoder(recipe, encoder_sizes(dataset, end))
        assert isinstance(encoder, SequenceEncoder)
        self.encoder = encoder
        self.batches = EncoderBatches(dataset, end, recipe, seed)
        self._optimiser = EncoderOptimiser(
            self.encoder, recipe, recipe.epochs * len(self.batches), sampled=self.batches.sampled
        )

    def run(self, reporter: Reporter, validation: Validation | None, epochs: int) -> Trained:
        """The encoder of the best epoch by the validation; ends early when that has not grown for some epochs.

        Without a validation, the encoder after the last of the epochs.
        """
        best, best_epoch, best_state = -1.0, epochs, None
        curve: list[dict[str, float]] = []
        for epoch in range(1, epochs + 1):
            started, name = time.monotonic(), f"encoder epoch {epoch}/{epochs}"
            found = {"loss": self._epoch(reporter, name)}
            if validation is not None:
                found |= validation.figures(self._encoded())
                if found[validation.chosen_by] > best:
                    best, best_epoch = found[validation.chosen_by], epoch
                    best_state = copy.deepcopy(self.encoder.state_dict())
            shown = "  ".join(f"{key} {value:.4f}" for key, value in found.items())
            reporter.say(f"{name}  {shown}  {time.monotonic() - started:.1f} s")
            curve.append(found)
            if validation is not None and epoch - best_epoch == self._recipe.patience:
                break
        if best_state is not None:
            self.encoder.load_state_dict(best_state)
        return Trained(encoder=self.encoder.eval(), epochs=best_epoch, curve=tuple(curve))

    def _encoded(self) -> Encoded:
        return Encoded.of(self.encoder.eval(), self._recipe.history)

    def _epoch(self, reporter: Reporter, name: str) -> float:
        self.encoder.train()
        total, count = 0.0, 0
        for batch in self.batches.epoch(reporter, name):
            total, count = total + self.step(batch) * len(batch.targets), count + len(batch.targets)
        return total / max(count, 1)

    def step(self, batch: EncoderBatch) -> float:
        """Learns from one batch; returns its mean loss."""
        if isinstance(batch.against, Negatives):
            loss = self._sampled_loss(batch, batch.against)
        else:
            loss = self._full_loss(batch, batch.against)
        self._optimiser.step(loss)
        return loss.item()

    def _full_loss(self, batch: EncoderBatch, seen_PN: Tensor) -> Tensor:
        items_ND = self.encoder.item_vectors()
        queries_PD = self._queries(batch, items_ND[batch.rows])
        return losses.full_softmax(queries_PD, items_ND, batch.targets, seen_PN).mean()

    def _sampled_loss(self, batch: EncoderBatch, negatives: Negatives) -> Tensor:
        # Only the vectors of the rows in the batch are computed, whatever the size of the catalogue.
        parts = (batch.rows.flatten(), batch.targets, negatives.rows)
        vectors = torch.split(self.encoder.item_vectors(torch.cat(parts)), [len(part) for part in parts])
        queries_PD = self._queries(batch, vectors[0].view(*batch.rows.shape, -1))
        same_PS = batch.targets[:, None] == negatives.rows
        return losses.sampled_softmax(queries_PD, vectors[1], vectors[2], same_PS, negatives.log_q).mean()

    def _queries(self, batch: EncoderBatch, vectors_BLD: Tensor) -> Tensor:
        vectors_BLD = vectors_BLD * batch.mask[..., None]
        states_BLD = self.encoder.states(vectors_BLD, batch.values, batch.events, batch.mask)
        return self.encoder.queries(states_BLD[batch.predicted], batch.liked)


def encoder_sizes(dataset: Dataset, end: int) -> EncoderSizes:
    """What an encoder of this data looks like; values are cut at their quantiles before event ``end``."""
    values = dataset.known_values(end)
    quantiles = np.linspace(0, 1, _VALUE_BUCKETS + 1)[:-1]
    edges = np.unique(np.quantile(values, quantiles)) if len(values) else np.zeros(0)
    features = dataset.item_features.matrix
    return EncoderSizes(
        items=len(dataset.item_ids),
        # Without a column there is nothing to multiply: one of zeros stands in.
        item_features=features if features.shape[1] else np.zeros((len(features), 1), dtype=np.float32),
        value_edges=edges.astype(np.float32),
        events=len(dataset.event_names),
    )
