"""Training of the encoders that have a closed form."""

import numpy as np

from trainer.data import Dataset
from trainer.data.history_slices import history_counts
from trainer.models.encoders.gfcf import GfcfEncoder
from trainer.progress import Reporter
from trainer.recipe.models import EncoderConfig
from trainer.training.encoder.training import EncoderTraining, Trained, Validation


class ClosedFormTraining(EncoderTraining):
    """One run over the events before ``end``, which is a single epoch."""

    name = "closed_form"
    encoder: GfcfEncoder

    def __init__(self, dataset: Dataset, end: int, config: EncoderConfig, seed: int) -> None:
        super().__init__(dataset, end, config, seed)
        self._random = np.random.default_rng(seed)
        self._histories_UN = history_counts(dataset, end, config.history)

    def run(self, reporter: Reporter, validation: Validation | None, epochs: int | None) -> Trained:
        """See :class:`EncoderTraining`."""
        return self._learn(reporter, validation, epochs=1, patience=1)

    def epoch(self, reporter: Reporter, name: str) -> float:
        """Returns the share of the data that the encoder leaves unexplained."""
        return self.encoder.solve(self._histories_UN, self._random)
