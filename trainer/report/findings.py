"""The content of a report: trained models and their figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from trainer.analysis import Attribution
from trainer.analysis.measurement import figures_by_event, figures_of
from trainer.analysis.tables import Spread, mean_and_spread
from trainer.evaluation.metrics import Figures, Lists, of_queries
from trainer.evaluation.paired import paired_difference
from trainer.protocols.task import Task
from trainer.report.people import People
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

    @property
    def not_run(self) -> Mapping[str, str]:
        """The baselines that did not run, by name with the reason."""

    def interval(self, ours: str, theirs: str) -> float | None:
        """Half the 95 % interval of the difference in the deciding figure; None where no questions pair them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """One seed's results on the test: the figures and the slices of each model and baseline.

    ``by_event`` are their figures on the questions about each kind of event. ``of_queries`` are each query's figures
    ``[Q]`` that decide.
    """

    figures: Figures
    slices: Mapping[str, Slices]
    by_event: Mapping[str, Figures] = field(default_factory=dict)
    of_queries: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    @classmethod
    def of(cls, lists: Lists, task: Task, groups: Groups) -> Self:
        """Measures each model's answers to the task's test."""
        slices = {name: Slices.of(rankings, groups) for name, rankings in lists.items()}
        return cls(
            figures=figures_of(lists, task.metrics),
            slices=slices,
            by_event=figures_by_event(lists),
            of_queries={name: of_queries(rankings, task.chosen_by) for name, rankings in lists.items()},
        )

    def __or__(self, other: "Run") -> "Run":
        return Run(
            figures=self.figures | other.figures,
            slices={**self.slices, **other.slices},
            by_event={kind: found | other.by_event[kind] for kind, found in self.by_event.items()},
            of_queries={**self.of_queries, **other.of_queries},
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Findings:
    """Runs of one task, the ``groups`` of its test, and the training logs by name.

    With two stages, each run also has an attribution of its figures. ``not_run`` are baselines, with the reason.
    ``people`` are of the first run.
    """

    runs: Sequence[Run]
    groups: Groups
    chosen_by: str
    logs: Mapping[str, TrainingLog]
    attributions: Sequence[Attribution] = ()
    not_run: Mapping[str, str] = field(default_factory=dict)
    people: People | None = None

    @property
    def figures(self) -> Spread:
        """Mean and standard deviation over the runs."""
        return mean_and_spread([run.figures for run in self.runs])

    def interval(self, ours: str, theirs: str) -> float | None:
        """Half the 95 % interval, over the queries, of the difference in the deciding figure, a mean of the runs."""
        mean = {name: np.mean([run.of_queries[name] for run in self.runs], axis=0) for name in (ours, theirs)}
        return paired_difference(mean[ours], mean[theirs])[1]

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
