"""The result of a protocol whose answers are predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from trainer.analysis import RankerAttribution
from trainer.analysis.tables import Spread, mean_and_spread
from trainer.evaluation.metrics import Figures
from trainer.training.log import TrainingLog


@dataclass(frozen=True, kw_only=True, eq=False)
class EvaluationResult:
    """The figures of each seed over ``tested`` predictions; ``chosen_by`` names the metric that decides.

    Rankers add the ``logs`` of their training and an attribution for each seed.
    """

    runs: list[Figures]
    chosen_by: str
    tested: int
    logs: Mapping[str, TrainingLog] = field(default_factory=dict)
    attributions: Sequence[RankerAttribution] = ()

    not_run: Mapping[str, str] = field(default_factory=dict)

    def interval(self, ours: str, theirs: str) -> None:
        """Predictions have no questions that would pair two models."""

    @property
    def figures(self) -> Spread:
        """Mean and standard deviation over the runs."""
        return mean_and_spread(self.runs)
