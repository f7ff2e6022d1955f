"""Leave one out: each user's last item is the test, the one before the validation, all others the training.

The whole catalogue is ranked without the user's items. Kang and McAuley (2018, arXiv:1808.09781) rank a sample.
Events of one time keep the order of the file.
"""

from pathlib import Path

import numpy as np

from trainer.data import Dataset
from trainer.evaluation.queries import Queries
from trainer.protocols.task import TEST, TRAIN, VALIDATION, Task, by_part, spans
from trainer.recipe import DataRecipe

_LEAST_EVENTS = 3
METRICS = ("hr@10", "ndcg@10", "hr@5", "ndcg@5", "mrr@10", "coverage@10", "gini@10", "novelty@10")


def leave_one_out(dataset: Dataset, recipe: DataRecipe, data: Path) -> Task:
    """See the module. All events of a user with fewer than three are training events."""
    events = np.diff(dataset.user_offsets)[dataset.user_rows]
    left = np.where(events >= _LEAST_EVENTS, events - dataset.position, _LEAST_EVENTS)
    parts = np.select([left == 1, left == 2], [TEST, VALIDATION], TRAIN)
    ordered, counts = by_part(dataset, parts)
    learnt, validation, test = (spans(ordered, counts, part) for part in (TRAIN, VALIDATION, TEST))
    users = np.flatnonzero(counts[:, TEST])
    known = np.stack([learnt[:, 0], validation[:, 1]], axis=1)
    return Task(
        dataset=ordered,
        learn_end=int(counts[:, TRAIN].sum()),
        known_end=int(counts[:, : VALIDATION + 1].sum()),
        validation=Queries(dataset=ordered, users=users, histories=learnt[users], targets=validation[users]),
        test=Queries(dataset=ordered, users=users, histories=known[users], targets=test[users]),
        metrics=METRICS,
        chosen_by="ndcg@10",
        both_stages=True,
    )
