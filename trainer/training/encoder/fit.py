"""Training stage one."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from trainer.data import Dataset
from trainer.features.spectral import spectral_vectors
from trainer.models.encoders import Encoder, SequenceEncoder, encoder_class, losses
from trainer.models.encoders.gfcf import GfcfEncoder
from trainer.models.encoders.history import HistoryEncoder
from trainer.models.encoders.ials import IalsEncoder
from trainer.models.encoders.none import NoEncoder
from trainer.progress import Reporter
from trainer.recipe import EncoderConfig
from trainer.training.encoder.batches import EncoderBatch, EncoderBatches, Negatives
from trainer.training.encoder.closed_form import ClosedFormTraining
from trainer.training.encoder.optimiser import EncoderOptimiser
from trainer.training.encoder.sweeps import SweepTraining
from trainer.training.encoder.training import EncoderTraining, Trained, Validation
from trainer.training.encoder.whole_histories import HistoryTraining


def fit_encoder(
    dataset: Dataset,
    end: int,
    recipe: EncoderConfig,
    seed: int,
    reporter: Reporter,
    validation: Validation | None,
    epochs: int | None = None,
) -> Trained:
    """Learns from the events before ``end``: until the validation's best epoch, or without one for so many epochs.

    Raises:
        RecipeError: there is no encoder of the recipe's name.
    """
    training = _way_of_learning(recipe)(dataset, end, recipe, seed)
    return training.run(reporter, validation, recipe.epochs if epochs is None else epochs)


def _way_of_learning(recipe: EncoderConfig) -> type[EncoderTraining]:
    encoder = encoder_class(recipe)
    return next(way for kind, way in _WAYS_OF_LEARNING if issubclass(encoder, kind))


class NextItemTraining(EncoderTraining):
    """One run of an encoder that learns from every place of every history what comes next."""

    encoder: SequenceEncoder

    def __init__(self, dataset: Dataset, end: int, recipe: EncoderConfig, seed: int) -> None:
        super().__init__(dataset, end, recipe, seed)
        self.batches = EncoderBatches(dataset, end, recipe, seed)
        if recipe.spectral_scale:
            found = spectral_vectors(dataset, end, recipe.dimension, np.random.default_rng(seed))
            self.encoder.items.begin_at(torch.from_numpy(recipe.spectral_scale * found))
        self._optimiser = EncoderOptimiser(
            self.encoder, recipe, recipe.epochs * len(self.batches), sampled=self.batches.sampled
        )

    def epoch(self, reporter: Reporter, name: str) -> float:
        """Each prediction once."""
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
        if self.recipe.loss == "softmax":
            return losses.sampled_softmax(queries_PD, vectors[1], vectors[2], same_PS, negatives.log_q).mean()
        if self.recipe.loss == "ccl":
            queries_PD = F.normalize(queries_PD, dim=-1)
        scores = losses.inner_products(queries_PD, vectors[1], vectors[2], same_PS)
        return self._loss_of_scores(*scores).mean()

    def _loss_of_scores(self, positive_P: Tensor, negatives_PS: Tensor) -> Tensor:
        match self.recipe.loss:
            case "bpr":
                return losses.bpr(positive_P, negatives_PS)
            case "bce":
                return losses.binary_cross_entropy(positive_P, negatives_PS)
            case _:
                margin, weight = self.recipe.margin, self.recipe.negatives_weight
                return losses.cosine_contrastive(positive_P, negatives_PS, margin, weight)

    def _queries(self, batch: EncoderBatch, vectors_BLD: Tensor) -> Tensor:
        vectors_BLD = vectors_BLD * batch.mask[..., None]
        states_BLD = self.encoder.states(vectors_BLD, batch.values, batch.events, batch.mask, asked=batch.rows.shape[1])
        queries_PD = self.encoder.queries(states_BLD[batch.predicted], batch.liked)
        line_P = batch.predicted.nonzero()[:, 0]
        known_B1 = self.known_by_history(len(batch.rows))
        return self.encoder.with_features(queries_PD, known_B1[line_P], batch.user_features[line_P])


class NoTraining(EncoderTraining):
    """Of an encoder that has nothing to learn."""

    def run(self, reporter: Reporter, validation: Validation | None, epochs: int) -> Trained:
        """See :class:`EncoderTraining`."""
        return super().run(reporter, None, epochs=0)

    def epoch(self, reporter: Reporter, name: str) -> float:
        """See :class:`EncoderTraining`."""
        return 0.0


_WAYS_OF_LEARNING: tuple[tuple[type[Encoder], type[EncoderTraining]], ...] = (
    (SequenceEncoder, NextItemTraining),
    (HistoryEncoder, HistoryTraining),
    (IalsEncoder, SweepTraining),
    (GfcfEncoder, ClosedFormTraining),
    (NoEncoder, NoTraining),
)
