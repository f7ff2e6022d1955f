"""The split of NGCF and LightGCN: a random fifth of each user's items is the test, given with the data.

The published figures chose their epoch on the test. Here, a tenth of each user's training events decides everything,
and joins the final training. The test is ranked once.
"""

from pathlib import Path

import numpy as np

from trainer.data import Dataset
from trainer.evaluation.queries import Queries
from trainer.protocols.given_parts import given_parts
from trainer.protocols.task import TEST, TRAIN, VALIDATION, Task, by_part, spans
from trainer.recipe import DataRecipe

METRICS = ("recall@20", "ndcg@20", "hr@20", "mrr@20", "coverage@20", "gini@20", "novelty@20")
_CARVED = 0.1


def lightgcn_split(dataset: Dataset, recipe: DataRecipe, data: Path) -> Task:
    """See the module."""
    parts = _carve(dataset, given_parts(dataset, recipe, data))
    ordered, counts = by_part(dataset, parts)
    learnt, validation, test = (spans(ordered, counts, part) for part in (TRAIN, VALIDATION, TEST))
    known = np.stack([learnt[:, 0], validation[:, 1]], axis=1)
    deciding, tested = np.flatnonzero(counts[:, VALIDATION]), np.flatnonzero(counts[:, TEST])
    return Task(
        dataset=ordered,
        learn_end=int(counts[:, TRAIN].sum()),
        known_end=int(counts[:, : VALIDATION + 1].sum()),
        validation=Queries(dataset=ordered, users=deciding, histories=learnt[deciding], targets=validation[deciding]),
        test=Queries(dataset=ordered, users=tested, histories=known[tested], targets=test[tested]),
        metrics=METRICS,
        chosen_by="recall@20",
        refit=True,
    ).answerable()


def _carve(
    dataset: Dataset, parts: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """A tenth of each user's events of the train part, at random and always the same, becomes the validation's."""
    train = np.flatnonzero(parts == TRAIN)
    users = dataset.user_rows[train]
    order = train[np.lexsort((np.random.default_rng(0).random(len(train)), users))]
    counts = np.bincount(users, minlength=len(dataset.user_ids))
    place = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    carved = order[place < np.repeat((counts * _CARVED).astype(np.int64), counts)]
    parts = parts.copy()
    parts[carved] = VALIDATION
    return parts
