"""Training of stage one."""

from collections.abc import Mapping

from trainer.data import Dataset
from trainer.discovery import by_name, subclasses_in
from trainer.models.registry import ENCODERS
from trainer.progress import Reporter
from trainer.recipe import EncoderConfig
from trainer.training import encoder
from trainer.training.encoder.training import EncoderTraining, Trained, Validation

TRAININGS: Mapping[str, type[EncoderTraining]] = by_name(
    subclasses_in(encoder, EncoderTraining),  # type: ignore[type-abstract]
    lambda kind: kind.name,
)
"""The trainings by the names that encoders give them. A new one is a file beside this one."""


def fit_encoder(
    dataset: Dataset,
    end: int,
    config: EncoderConfig,
    seed: int,
    reporter: Reporter,
    validation: Validation | None,
    epochs: int | None = None,
) -> Trained:
    """Learns from the events before ``end``: until the validation's best epoch, or without one for so many epochs."""
    training = TRAININGS[ENCODERS[config.name].trained_by](dataset, end, config, seed)
    return training.run(reporter, validation, epochs)
