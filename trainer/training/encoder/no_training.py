"""The training of an encoder that has nothing to learn."""

from trainer.progress import Reporter
from trainer.training.encoder.training import EncoderTraining, Trained, Validation


class NoTraining(EncoderTraining):
    """The encoder as it is built."""

    name = "none"

    def epoch(self, reporter: Reporter, name: str) -> float:
        """See :class:`EncoderTraining`."""
        return 0.0

    def run(self, reporter: Reporter, validation: Validation | None, epochs: int | None) -> Trained:
        """See :class:`EncoderTraining`."""
        return self._learn(reporter, None, epochs=0, patience=1)
