"""The log of a training: figures of each epoch, and the calibrations."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from trainer.models.rankers.calibration import Calibration
from trainer.training.ranker.training import FoundRanker, RankerTraining

Line = Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class TrainingLog:
    """A line of figures for each epoch of each stage: the loss, and the validation's figures.

    The encoder's epoch is chosen by a figure of its validation, which comes from the ranker's slice in two stages.
    Without a validation its lines hold the loss alone. The ranker's epoch is chosen by the nDCG@10 of the latest fifth
    of that slice, where a like that retrieval missed counts as 0. With impressions, a figure of their latest fifth
    chooses it.
    """

    encoder: tuple[Line, ...] = ()
    encoder_chosen_by: str = "ndcg@10"
    ranker: tuple[Line, ...] = ()
    ranker_chosen_by: str = "ndcg@10"
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)
    """By the name of each event objective."""

    @classmethod
    def of_ranker(cls, training: RankerTraining) -> Self:
        """The log of a ranker's training that has ended."""
        return cls(
            ranker=tuple(training.curve),
            ranker_chosen_by=training.examples.chosen_by,
            calibrations=training.calibrations,
        )

    @property
    def validation(self) -> dict[str, dict[str, float]]:
        """The validation figures of each stage's best epoch, such as ``{"validation/retrieval": {"hr@10": …}}``."""
        stages = {
            "validation/retrieval": (self.encoder, self.encoder_chosen_by),
            "validation/two_stage": (self.ranker, self.ranker_chosen_by),
        }
        return {name: _best(lines, chosen_by) for name, (lines, chosen_by) in stages.items() if lines}

    @property
    def encoder_epochs(self) -> int:
        """The best epoch of the encoder, 0 without any."""
        return _best_epoch(self.encoder, self.encoder_chosen_by)

    @property
    def found_ranker(self) -> FoundRanker:
        """The outcome of the ranker's training, for another one on later data."""
        return FoundRanker(epochs=_best_epoch(self.ranker, self.ranker_chosen_by), calibrations=self.calibrations)


def _best_epoch(lines: tuple[Line, ...], chosen_by: str) -> int:
    """The first of the best; the last one where nothing compares them."""
    figures = np.array([line[chosen_by] for line in lines])
    return int(np.nanargmax(figures)) + 1 if np.isfinite(figures).any() else len(lines)


def _best(lines: tuple[Line, ...], chosen_by: str) -> dict[str, float]:
    best = max(lines, key=lambda line: line[chosen_by])
    return {name: value for name, value in best.items() if name != "loss"}
