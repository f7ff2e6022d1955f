"""The steps of a ranker's training, and the ranker that they give."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trainer.evaluation.rankings import BATCH, batches
from trainer.models.pipeline import TOGETHER
from trainer.models.rankers import Ranker, RankerDataSpec
from trainer.models.rankers.id_embeddings import IdEmbeddingLayer
from trainer.models.rankers.positions import PositionBias
from trainer.models.registry import build_ranker
from trainer.progress import Reporter
from trainer.recipe import RankerConfig
from trainer.training.encoder.optimiser import schedule
from trainer.training.ranker.examples import RankerExamples, RankerInputs

_WARMUP_STEPS = 50
_SAMPLE = 500
# The position bias learns so many times faster, so that no other weight learns the effect of the position.
_POSITION_RATE = 10


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedRanker:
    """A ranker and its id embeddings."""

    ranker: Ranker
    id_embeddings: IdEmbeddingLayer

    @torch.no_grad()
    def predict(self, inputs: RankerInputs, places: NDArray[np.int64]) -> NDArray[np.float32]:
        """The logits of the candidates of some examples, ``[n, C, G]``."""
        together = max(BATCH, TOGETHER // inputs.candidate_count)
        parts = [self.ranker(**inputs.at(batch, self.id_embeddings)).numpy() for batch in batches(places, together)]
        return np.concatenate(parts)


class RankerFit:
    """One ranker, from its first step, on the examples at some places."""

    def __init__(
        self,
        examples: RankerExamples,
        spec: RankerDataSpec,
        recipe: RankerConfig,
        seed: int,
        places: NDArray[np.int64],
    ) -> None:
        self._examples, self._recipe, self._places, inputs = examples, recipe, places, examples.inputs
        torch.manual_seed(seed)
        self._random = np.random.default_rng(seed)
        self._id_embeddings = IdEmbeddingLayer(len(inputs.items.ids), len(inputs.user_features), recipe.embedding)
        self.ranker = build_ranker(recipe, spec)
        if recipe.embedding:
            self._id_embeddings.begin(*inputs.met(places))
        self._position_bias = PositionBias(examples.positions[places], spec.objectives)
        self.ranker.scale_by(inputs.at(places[:: max(1, len(places) // _SAMPLE)], self._id_embeddings))
        self._optimiser = torch.optim.AdamW(
            self._parameter_groups(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
        )
        self._an_epoch = min(len(places), examples.most_an_epoch)
        steps = recipe.epochs * math.ceil(self._an_epoch / recipe.batch_size)
        self._schedule = schedule(self._optimiser, warm_up=_WARMUP_STEPS, steps=steps)

    def epoch(self, reporter: Reporter, name: str) -> float:
        """Learns from the examples of :meth:`batches`; returns the mean loss."""
        self.ranker.train()
        batches = reporter.track(self.batches(), name, "lists", len)
        total = sum(self.step(places) * len(places) for places in batches)
        return total / self._an_epoch

    def batches(self) -> list[NDArray[np.int64]]:
        """Each example once, in random order; of more than ``most_an_epoch`` as many, which differ from time to time.

        The preferred ones come first among these, up to half.
        """
        order, size = self._drawn(), self._recipe.batch_size
        return [order[start : start + size] for start in range(0, len(order), size)]

    def _drawn(self) -> NDArray[np.int64]:
        order: NDArray[np.int64] = self._random.permutation(self._places)
        if len(order) <= self._an_epoch:
            return order
        preferred = self._examples.preferred(order)
        first = order[preferred][: self._an_epoch // 2]
        others = np.setdiff1d(order, first, assume_unique=True)
        rest = self._random.permutation(others)[: self._an_epoch - len(first)]
        drawn: NDArray[np.int64] = self._random.permutation(np.concatenate([first, rest]))
        return drawn

    def step(self, places: NDArray[np.int64]) -> float:
        """Learns from the examples at the places; returns their mean loss."""
        examples, recipe = self._examples, self._recipe
        known = self._random.random(len(places)) >= recipe.unknown_users
        sample = examples.sample(places, recipe.sampled, self._random)
        logits_BCG = self.ranker(**examples.inputs.at(places, self._id_embeddings, known, sample))
        logits_BCG = logits_BCG + self._position_bias(examples.positions[places])[:, None]
        loss = examples.loss(logits_BCG, places)
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        self._schedule.step()
        return loss.item()

    @torch.no_grad()
    def figures(self, places: NDArray[np.int64]) -> dict[str, float]:
        """Quality figures on other examples; the logits include the position bias."""
        return self._examples.figures(self._biased_logits, places)

    def trained(self) -> TrainedRanker:
        """The ranker as it is now, in evaluation mode."""
        return TrainedRanker(ranker=self.ranker.eval(), id_embeddings=self._id_embeddings)

    def _biased_logits(self, places: NDArray[np.int64]) -> NDArray[np.float32]:
        logits_BCG = self.trained().predict(self._examples.inputs, places)
        bias_BG: NDArray[np.float32] = self._position_bias(self._examples.positions[places]).numpy()
        return logits_BCG + bias_BG[:, None]

    def _parameter_groups(self) -> list[dict[str, Any]]:
        recipe = self._recipe
        return [
            {"params": list(self.ranker.parameters())},
            {"params": list(self._id_embeddings.parameters()), "weight_decay": recipe.embedding_decay},
            {
                "params": list(self._position_bias.parameters()),
                "weight_decay": 0.0,
                "lr": _POSITION_RATE * recipe.learning_rate,
            },
        ]
