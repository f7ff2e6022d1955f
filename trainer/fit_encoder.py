"""Training stage one."""

import copy
import time

import numpy as np
import torch
from torch import Tensor

from trainer import losses
from trainer.data import Dataset
from trainer.encode import Encoded
from trainer.encoder_batches import EncoderBatch, EncoderBatches, Negatives
from trainer.encoder_optimiser import EncoderOptimiser
from trainer.encoders import Encoder, EncoderSizes, build_encoder
from trainer.evaluation import places_of_targets
from trainer.metrics import report
from trainer.progress import Reporter
from trainer.recipe import Encoder as EncoderRecipe
from trainer.split import Split, evenly, targets

_VALIDATION_EVENTS = 2000
_PATIENCE = 2
_VALUE_BUCKETS = 16


class EncoderTraining:
    """One run over one split. The validation is the ranker's slice, and never the test's."""

    def __init__(self, dataset: Dataset, split: Split, recipe: EncoderRecipe, seed: int) -> None:
        torch.manual_seed(seed)
        self._dataset, self._recipe = dataset, recipe
        self.encoder = build_encoder(recipe, encoder_sizes(dataset, split.encoder_end))
        self.batches = EncoderBatches(dataset, split.encoder_end, recipe, seed)
        self._optimiser = EncoderOptimiser(
            self.encoder, recipe, recipe.epochs * len(self.batches), sampled=self.batches.sampled
        )
        self._validation = evenly(targets(dataset, split.encoder_end, split.ranker_end), _VALIDATION_EVENTS)

    def run(self, reporter: Reporter) -> Encoder:
        """The encoder of the best epoch by validation nDCG@10; stops when that has not grown for two epochs."""
        best, best_state, stale = -1.0, copy.deepcopy(self.encoder.state_dict()), 0
        for epoch in range(1, self._recipe.epochs + 1):
            started = time.monotonic()
            loss = self._epoch(reporter, f"encoder epoch {epoch}/{self._recipe.epochs}")
            figures = self._validate()
            reporter.say(
                f"encoder epoch {epoch}/{self._recipe.epochs}  loss {loss:.4f}  validation nDCG@10 "
                f"{figures['ndcg@10']:.4f}  recall@200 {figures['recall@200']:.4f}  {time.monotonic() - started:.1f} s"
            )
            if figures["ndcg@10"] > best:
                best, best_state, stale = figures["ndcg@10"], copy.deepcopy(self.encoder.state_dict()), 0
            else:
                stale += 1
            if stale == _PATIENCE:
                break
        self.encoder.load_state_dict(best_state)
        return self.encoder.eval()

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

    def _validate(self) -> dict[str, float]:
        encoded = Encoded.of(self.encoder.eval(), self._recipe.history)
        return report(places_of_targets(self._dataset, self._validation, encoded.scores))


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
