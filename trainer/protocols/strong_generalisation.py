"""Strong generalisation: users without training events, known by the first 80 % of their history.

Liang et al. (2018, arXiv:1802.05814) draw the 80 % at random; here they are the earliest. A tenth of the users is the
validation, and a tenth the test. Events of one user and one time have no order, so those at the border are all to be
found.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.data import Dataset
from trainer.evaluation.queries import Queries
from trainer.protocols.task import TEST, TRAIN, VALIDATION, Task, by_part
from trainer.recipe import DataRecipe

METRICS = ("recall_min@20", "recall_min@50", "ndcg@100", "ndcg@10", "coverage@20", "gini@20", "novelty@20")
_HELD_OUT = 0.1
_KNOWN = 0.8
_LEAST_EVENTS = 5


def strong_generalisation(dataset: Dataset, recipe: DataRecipe, data: Path) -> Task:
    """See the module; only users with five events or more are held out, and an earlier time than at the border."""
    events = np.diff(dataset.user_offsets)
    usable = np.flatnonzero(events >= _LEAST_EVENTS)
    usable = usable[_borders(dataset, usable) > dataset.user_offsets[usable]]
    usable = np.random.default_rng(0).permutation(usable)
    count = max(1, round(len(usable) * _HELD_OUT))
    part_of_user = np.full(len(events), TRAIN)
    part_of_user[usable[:count]] = VALIDATION
    part_of_user[usable[count : 2 * count]] = TEST
    ordered, counts = by_part(dataset, part_of_user[dataset.user_rows])
    learn_end = int(counts[:, TRAIN].sum())
    return Task(
        dataset=ordered,
        learn_end=learn_end,
        known_end=learn_end,
        validation=_questions(ordered, np.flatnonzero(part_of_user == VALIDATION)),
        test=_questions(ordered, np.flatnonzero(part_of_user == TEST)),
        metrics=METRICS,
        chosen_by="ndcg@100",
    ).answerable()


def _questions(dataset: Dataset, users: NDArray[np.int64]) -> Queries:
    starts, borders, ends = dataset.user_offsets[users], _borders(dataset, users), dataset.user_offsets[users + 1]
    return Queries(
        dataset=dataset,
        users=users,
        histories=np.stack([starts, borders], axis=1),
        targets=np.stack([borders, ends], axis=1),
    )


def _borders(dataset: Dataset, users: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place in the histories of the first event that each user is not known by."""
    starts, ends = dataset.user_offsets[users], dataset.user_offsets[users + 1]
    places = starts + np.ceil((ends - starts) * _KNOWN).astype(np.int64)
    return np.asarray(starts + dataset.position[dataset.user_events[places]])
