"""The content of a report: trained models and their figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

from trainer.analysis import Attribution
from trainer.analysis.measurement import figures_of
from trainer.analysis.tables import Spread, mean_and_spread
from trainer.evaluation.metrics import Figures, Lists
from trainer.protocols import Task
from trainer.report.slices import Groups, Slices
from trainer.training.log import TrainingLog

OURS = ("two_stage", "ranker", "two_sided", "retrieval")
"""The last stage first."""


class Measured(Protocol):
    """The content of any page: runs, one a seed, their figures by model, the deciding figure, and the training logs."""

    @property
    def runs(self) -> Sequence[object]:
        """One a seed."""

    @property
    def figures(self) -> Spread:
        """Mean and standard deviation over the runs."""

    @property
    def chosen_by(self) -> str:
        """The name of a figure."""

    @property
    def logs(self) -> Mapping[str, TrainingLog]:
        """The logs of trainings in epochs, by name."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """One seed's results on the test: the figures and the slices of each model and baseline."""

    figures: Figures
    slices: Mapping[str, Slices]

    @classmethod
    def of(cls, lists: Lists, task: Task, groups: Groups) -> Self:
        """Measures each model's answers to the task's test."""
        slices = {name: Slices.of(rankings, groups) for name, rankings in lists.items()}
        return cls(figures=figures_of(lists, task.metrics), slices=slices)

    def __or__(self, other: "Run") -> "Run":
        return Run(figures=self.figures | other.figures, slices={**self.slices, **other.slices})


@dataclass(frozen=True, kw_only=True, eq=False)
class Findings:
    """Runs of one task, the ``groups`` of its test, and the training logs by name.

    With two stages, each run also has an attribution of its figures.
    """

    runs: Sequence[Run]
    groups: Groups
    chosen_by: str
    logs: Mapping[str, TrainingLog]
    attributions: Sequence[Attribution] = ()

    @property
    def figures(self) -> Spread:
        """Mean and standard deviation over the runs."""
        return mean_and_spread([run.figures for run in self.runs])


def is_baseline(name: str) -> bool:
    """Whether a model is one that ours have to beat; boosted trees in the ranker's place are, too."""
    return name not in OURS
