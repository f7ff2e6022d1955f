"""Training of sequence encoders: the next item, from every place of a history."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from trainer.data import Dataset
from trainer.features.spectral import spectral_vectors
from trainer.models.encoders import SequenceEncoder, losses
from trainer.progress import Reporter
from trainer.recipe.models import SequenceConfig
from trainer.training.encoder.batches import EncoderBatch, EncoderBatches, Negatives
from trainer.training.encoder.optimiser import EncoderOptimiser
from trainer.training.encoder.training import GradientTraining


class NextItemTraining(GradientTraining):
    """One run of an encoder that learns the next item from every place of every history."""

    name = "next_item"
    encoder: SequenceEncoder
    config: SequenceConfig

    def __init__(self, dataset: Dataset, end: int, config: SequenceConfig, seed: int) -> None:
        super().__init__(dataset, end, config, seed)
        self.batches = EncoderBatches(dataset, end, config, seed)
        if config.spectral_scale:
            found = spectral_vectors(dataset, end, config.dimension, np.random.default_rng(seed))
            self.encoder.items.begin_at(torch.from_numpy(config.spectral_scale * found))
        steps = config.epochs * len(self.batches)
        self._optimiser = EncoderOptimiser(self.encoder, config, steps, sampled=self.batches.sampled)

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
        if self.config.loss == "softmax":
            return losses.sampled_softmax(queries_PD, vectors[1], vectors[2], same_PS, negatives.log_q).mean()
        if self.config.loss == "ccl":
            queries_PD = F.normalize(queries_PD, dim=-1)
        scores = losses.inner_products(queries_PD, vectors[1], vectors[2], same_PS)
        return self._loss_of_scores(*scores).mean()

    def _loss_of_scores(self, positive_P: Tensor, negatives_PS: Tensor) -> Tensor:
        match self.config.loss:
            case "bpr":
                return losses.bpr(positive_P, negatives_PS)
            case "bce":
                return losses.binary_cross_entropy(positive_P, negatives_PS)
            case _:
                margin, weight = self.config.margin, self.config.negatives_weight
                return losses.cosine_contrastive(positive_P, negatives_PS, margin, weight)

    def _queries(self, batch: EncoderBatch, vectors_BLD: Tensor) -> Tensor:
        vectors_BLD = vectors_BLD * batch.mask[..., None]
        states_BLD = self.encoder.states(vectors_BLD, batch.values, batch.events, batch.mask, asked=batch.rows.shape[1])
        queries_PD = self.encoder.queries(states_BLD[batch.lines, batch.sources], batch.liked)
        known_B1 = self.known_by_history(len(batch.rows))
        return self.encoder.with_features(queries_PD, known_B1[batch.lines], batch.user_features[batch.lines])
