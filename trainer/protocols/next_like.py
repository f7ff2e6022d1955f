"""Next like: the last events by time are the test, and each like among them that is new to its user is a query."""

from pathlib import Path

import numpy as np

from trainer.data import Dataset
from trainer.data.questions import LEAST_QUESTIONS, questions_by_event
from trainer.data.split import Split, evaluation_split, held_out_events, subsample, targets
from trainer.evaluation.queries import Queries
from trainer.protocols.task import Task
from trainer.recipe import DataRecipe

CHOSEN_BY = "ndcg@10"
METRICS = ("hr@10", "ndcg@10", "recall@200")
VALIDATION_EVENTS = 2000
_EVENTS_OF_KIND = 2000


def next_like(dataset: Dataset, recipe: DataRecipe, data: Path) -> Task:
    """See the module. The model learns once, from the events before the validation, like the two stages together."""
    return next_like_task(dataset, evaluation_split(dataset, recipe.split))


def next_like_task(dataset: Dataset, split: Split) -> Task:
    """The task of a split: stage one learns from its first slice, and the ranker's slice decides."""
    return Task(
        dataset=dataset,
        learn_end=split.encoder_end,
        known_end=split.ranker_end,
        validation=validation(dataset, split),
        test=Queries.of_events(dataset, held_out_events(dataset, split)),
        metrics=METRICS,
        chosen_by=CHOSEN_BY,
        both_stages=True,
        by_event=_by_event(dataset, split),
    )


def validation(dataset: Dataset, split: Split) -> Queries:
    """Likes of the ranker's slice, at most two thousand."""
    return Queries.of_events(
        dataset, subsample(targets(dataset, split.encoder_end, split.ranker_end), VALIDATION_EVENTS)
    )


def _by_event(dataset: Dataset, split: Split) -> dict[str, Queries]:
    """The test's questions about each kind of event, at most two thousand of each; kinds with too few are left out."""
    found = {}
    for name, asked in questions_by_event(dataset):
        events = split.ranker_end + np.flatnonzero(asked[split.ranker_end : split.end])
        if len(events) >= LEAST_QUESTIONS:
            found[name] = Queries.of_events(dataset, subsample(events, _EVENTS_OF_KIND))
    return found
