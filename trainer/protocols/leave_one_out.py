"""Leave one out: each user's last item is the test, the one before the validation, all others the training.

The whole catalogue is ranked without the user's items. Kang and McAuley (2018, arXiv:1808.09781) rank a sample.

Events of one user and one time have no order. So the test is all events of the user's last time, but only one of them,
chosen by lot, is to be found. The other events of that time are in no history. The validation is the time before.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.data import Dataset
from trainer.evaluation.queries import Queries
from trainer.protocols.task import TEST, TRAIN, VALIDATION, Task, by_part, spans
from trainer.recipe import DataRecipe

_LEAST_TIMES = 3
METRICS = ("hr@10", "ndcg@10", "hr@5", "ndcg@5", "mrr@10", "coverage@10", "gini@10", "novelty@10")


def leave_one_out(dataset: Dataset, recipe: DataRecipe, data: Path) -> Task:
    """See the module. All events of a user with fewer than three times are training events."""
    ordered, counts = by_part(dataset, _parts(dataset))
    learnt, validation, test = (spans(ordered, counts, part) for part in (TRAIN, VALIDATION, TEST))
    users = np.flatnonzero(counts[:, TEST])
    known = np.stack([learnt[:, 0], validation[:, 1]], axis=1)
    active = int((counts.sum(axis=1) > 0).sum())
    return Task(
        dataset=ordered,
        learn_end=int(counts[:, TRAIN].sum()),
        known_end=int(counts[:, : VALIDATION + 1].sum()),
        validation=Queries(dataset=ordered, users=users, histories=learnt[users], targets=_last(validation[users])),
        test=Queries(dataset=ordered, users=users, histories=known[users], targets=_last(test[users])),
        metrics=METRICS,
        chosen_by="ndcg@10",
        both_stages=True,
        warnings=_untested(active - len(users), active),
    ).answerable()


def _parts(dataset: Dataset) -> NDArray[np.int64]:
    """The part ``[N]`` of each event."""
    is_later = ~dataset.has_time_of_previous(np.arange(len(dataset.user_events)))
    users, number = dataset.user_rows[dataset.user_events], np.cumsum(is_later)
    left: NDArray[np.int64] = number[dataset.user_offsets[1:] - 1][users] - number
    tested = np.bincount(users, is_later, len(dataset.user_ids))[users] >= _LEAST_TIMES
    parts = np.empty(len(users), dtype=np.int64)
    parts[dataset.user_events] = np.select([tested & (left == 0), tested & (left == 1)], [TEST, VALIDATION], TRAIN)
    return parts


def _untested(users: int, of: int) -> tuple[str, ...]:
    if not users:
        return ()
    return (f"{users:,} of {of:,} users have interactions at fewer than {_LEAST_TIMES} times and are not tested",)


def _last(spans: NDArray[np.int64]) -> NDArray[np.int64]:
    """The last event of each span."""
    return np.stack([spans[:, 1] - 1, spans[:, 1]], axis=1)
