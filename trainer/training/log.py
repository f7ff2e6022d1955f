"""How training went."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from trainer.models.rankers.calibration import Calibration
from trainer.training.ranker.training import RankerTraining

Line = Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class TrainingLog:
    """A line of figures for each epoch of each stage that was tried: the loss, and what the validation gave.

    The encoder is chosen by a figure of the validation, of the events of the ranker's slice if there are two stages;
    without a validation its lines have none. The ranker is chosen by the nDCG@10 of the latest fifth of that slice,
    where what retrieval misses counts as a zero, or by another figure of the latest fifth of the impressions.
    """

    encoder: tuple[Line, ...] = ()
    encoder_chosen_by: str = "ndcg@10"
    ranker: tuple[Line, ...] = ()
    ranker_chosen_by: str = "ndcg@10"
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)
    """By the name of each objective that is an event."""

    @classmethod
    def of_ranker(cls, training: RankerTraining) -> Self:
        """That of a ranker alone, whose training has ended."""
        return cls(
            ranker=tuple(training.curve),
            ranker_chosen_by=training.examples.chosen_by,
            calibrations=training.calibrations,
        )

    @property
    def validation(self) -> dict[str, dict[str, float]]:
        """The validation's figures of each stage's best epoch, such as ``{"validation/retrieval": {"hr@10": …}}``."""
        stages = {
            "validation/retrieval": (self.encoder, self.encoder_chosen_by),
            "validation/two_stage": (self.ranker, self.ranker_chosen_by),
        }
        return {name: _best(lines, chosen_by) for name, (lines, chosen_by) in stages.items() if lines}


def _best(lines: tuple[Line, ...], chosen_by: str) -> dict[str, float]:
    best = max(lines, key=lambda line: line[chosen_by])
    return {name: value for name, value in best.items() if name != "loss"}
