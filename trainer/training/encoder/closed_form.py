"""Training of the encoders that have a closed form."""

import numpy as np

from trainer.data import Dataset
from trainer.data.history_slices import history_counts
from trainer.models.encoders.gfcf import GfcfEncoder
from trainer.progress import Reporter
from trainer.recipe import EncoderConfig
from trainer.training.encoder.training import EncoderTraining, Trained, Validation


class ClosedFormTraining(EncoderTraining):
    """One run over the events before ``end``, of a single epoch whatever the recipe says."""

    encoder: GfcfEncoder

    def __init__(self, dataset: Dataset, end: int, recipe: EncoderConfig, seed: int) -> None:
        super().__init__(dataset, end, recipe, seed)
        self._random = np.random.default_rng(seed)
        self._histories_UN = history_counts(dataset, end, recipe.history)

    def run(self, reporter: Reporter, validation: Validation | None, epochs: int) -> Trained:
        """See :class:`EncoderTraining`."""
        return super().run(reporter, validation, epochs=1)

    def epoch(self, reporter: Reporter, name: str) -> float:
        """Returns what the encoder leaves unexplained."""
        return self.encoder.solve(self._histories_UN, self._random)
