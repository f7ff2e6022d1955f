"""The content of a report: trained models and their figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from trainer.analysis import Attribution
from trainer.analysis.measurement import figures_by_event, figures_of
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
    """One seed's results on the test: the figures and the slices of each model and baseline.

    ``by_event`` are their figures on the questions about each kind of event.
    """

    figures: Figures
    slices: Mapping[str, Slices]
    by_event: Mapping[str, Figures] = field(default_factory=dict)

    @classmethod
    def of(cls, lists: Lists, task: Task, groups: Groups) -> Self:
        """Measures each model's answers to the task's test."""
        slices = {name: Slices.of(rankings, groups) for name, rankings in lists.items()}
        return cls(figures=figures_of(lists, task.metrics), slices=slices, by_event=figures_by_event(lists))

    def __or__(self, other: "Run") -> "Run":
        return Run(
            figures=self.figures | other.figures,
            slices={**self.slices, **other.slices},
            by_event={kind: found | other.by_event[kind] for kind, found in self.by_event.items()},
        )


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

    @property
    def by_event(self) -> dict[str, Spread]:
        """The same on the questions about each kind of event."""
        return {kind: mean_and_spread([run.by_event[kind] for run in self.runs]) for kind in self.groups.by_event}

    def events_plain(self) -> dict[str, Any]:
        """For JSON: by the kind of event, the number of questions, and the mean of each figure of each model."""
        return {
            kind: {
                "questions": self.groups.by_event[kind],
                **{name: {key: mean for key, (mean, _) in row.items()} for name, row in spread.items()},
            }
            for kind, spread in self.by_event.items()
        }


def is_baseline(name: str) -> bool:
    """Whether a model is one that ours have to beat; boosted trees in the ranker's place are, too."""
    return name not in OURS
