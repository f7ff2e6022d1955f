"""Training by alternating least squares: users and items in turn."""

import torch

from trainer.data import Dataset
from trainer.data.history_slices import history_counts
from trainer.models.encoders.ials import IalsEncoder
from trainer.progress import Reporter
from trainer.recipe.models import IterativeConfig
from trainer.training.encoder.training import IterativeTraining


class SweepTraining(IterativeTraining):
    """One run over the events before ``end``; an epoch solves for all users and then for all items."""

    name = "sweeps"
    encoder: IalsEncoder

    def __init__(self, dataset: Dataset, end: int, config: IterativeConfig, seed: int) -> None:
        super().__init__(dataset, end, config, seed)
        self._histories_UN = history_counts(dataset, end, config.history)
        self._users_UD = torch.zeros(len(dataset.user_ids), config.dimension)

    def epoch(self, reporter: Reporter, name: str) -> float:
        """Returns the objective per interaction."""
        self._users_UD = self.encoder.sweep(self._users_UD, self._histories_UN)
        return self.encoder.objective(self._users_UD, self._histories_UN)
