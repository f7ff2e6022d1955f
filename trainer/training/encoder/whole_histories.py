"""Training by gradient descent from whole histories."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainer.data import Dataset
from trainer.data.history_slices import history_counts
from trainer.models.encoders import losses
from trainer.models.encoders.history import HistoryEncoder, product
from trainer.progress import Reporter
from trainer.recipe.models import WholeHistoryConfig
from trainer.training.encoder.optimiser import EncoderOptimiser
from trainer.training.encoder.training import GradientTraining


class HistoryTraining(GradientTraining):
    """One run over the events before ``end``.

    Up to ``softmax_limit`` items the softmax is over the catalogue, above it over ``negatives`` items, drawn uniformly
    at each step. All interactions of a user share one softmax, so that the cost grows with users, not interactions.
    """

    name = "whole_histories"
    encoder: HistoryEncoder
    config: WholeHistoryConfig

    def __init__(self, dataset: Dataset, end: int, config: WholeHistoryConfig, seed: int) -> None:
        super().__init__(dataset, end, config, seed)
        self._random = np.random.default_rng(seed)
        self._histories_UN = history_counts(dataset, end, config.history)
        self._features_UF = torch.from_numpy(dataset.known_user_features)
        self._users = np.flatnonzero(np.diff(self._histories_UN.indptr))
        self.encoder.begin(self._histories_UN)
        steps = config.epochs * -(-len(self._users) // config.batch_size)
        self._optimiser = EncoderOptimiser(self.encoder, config, steps, sampled=False)

    def epoch(self, reporter: Reporter, name: str) -> float:
        """Each history once, in random order; returns the mean loss of an interaction."""
        self.encoder.train()
        losses_of_steps = [self._step(users) for users in reporter.track(list(self._batches()), name, "users", len)]
        self.encoder.eval().settle()
        return float(np.mean(losses_of_steps))

    def _batches(self) -> Iterator[NDArray[np.int64]]:
        users = self._random.permutation(self._users)
        for start in range(0, len(users), self.config.batch_size):
            yield users[start : start + self.config.batch_size]

    def _step(self, users: NDArray[np.int64]) -> float:
        histories_BN = self._histories_UN[users]
        found = self.encoder.represent(histories_BN)
        known_B1 = self.known_by_history(len(users))
        users_BD = self.encoder.with_features(found.users, known_B1, self._features_UF[torch.from_numpy(users)])
        wanted_B = (users_BD * product(histories_BN, found.items)).sum(dim=-1)
        logits_BS = users_BD @ self._against(found.items).T
        counts_B = torch.from_numpy(histories_BN.sum(axis=1))
        loss = losses.multinomial(wanted_B, logits_BS, counts_B).sum() / counts_B.sum()
        self._optimiser.step(loss + found.penalty)
        return loss.item()

    def _against(self, items_ND: Tensor) -> Tensor:
        if len(items_ND) <= self.config.softmax_limit:
            return items_ND
        rows = self._random.choice(len(items_ND), min(self.config.negatives, len(items_ND)), replace=False)
        return items_ND[torch.from_numpy(rows)]
