"""How training went."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from trainer.training.calibration import Calibration

Line = Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class TrainingLog:
    """A line of figures for each epoch of each stage that was tried: the loss, and what the validation gave.

    Both stages are chosen by the validation's nDCG@10. The encoder's is of the events of the ranker's slice; that of
    the ranker is of the latest fifth of them, where what retrieval misses counts as a zero.
    """

    encoder: tuple[Line, ...] = ()
    ranker: tuple[Line, ...] = ()
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)
    """By the name of each goal that is an event."""

    @property
    def validation(self) -> dict[str, dict[str, float]]:
        """The validation's figures of each stage's best epoch, such as ``{"validation/retrieval": {"hr@10": …}}``."""
        stages = {"validation/retrieval": self.encoder, "validation/two_stage": self.ranker}
        return {name: _best(lines) for name, lines in stages.items() if lines}


def _best(lines: tuple[Line, ...]) -> dict[str, float]:
    best = max(lines, key=lambda line: line["ndcg@10"])
    return {name: value for name, value in best.items() if name != "loss"}
