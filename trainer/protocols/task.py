"""A data set, and how a published protocol measures on it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.data import Dataset
from trainer.errors import DataError
from trainer.evaluation.queries import Queries

TRAIN, VALIDATION, TEST = 0, 1, 2


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """The training, validation and test of a data set.

    The first ``learn_end`` events are for training, and those up to ``known_end`` are known at the test. The settings
    and the epoch are those with the best ``chosen_by`` of the ``metrics`` on the validation. With ``refit``, the model
    is then trained again on all known events, for as many epochs. With ``both_stages``, a ranker learns from the events
    between the two ends.
    """

    dataset: Dataset
    learn_end: int
    known_end: int
    validation: Queries
    test: Queries
    metrics: tuple[str, ...]
    chosen_by: str
    refit: bool = False
    both_stages: bool = False

    def __post_init__(self) -> None:
        for name, queries in {"validation": self.validation, "test": self.test}.items():
            if not len(queries):
                raise DataError(f"the {name} has nothing to find; the data is too small for the protocol")


def by_part(dataset: Dataset, parts: NDArray[np.int64]) -> tuple[Dataset, NDArray[np.int64]]:
    """The data set with its events sorted by part ``[N]``, and the counts of each user by part, ``[users, 3]``.

    The sort is stable, so each user's training events come first, in their order.
    """
    ordered = dataset.in_order(np.argsort(parts, kind="stable"))
    users = len(dataset.user_ids)
    counts = [np.bincount(dataset.user_rows[parts == part], minlength=users) for part in (TRAIN, VALIDATION, TEST)]
    return ordered, np.stack(counts, axis=1)


def spans(dataset: Dataset, counts: NDArray[np.int64], part: int) -> NDArray[np.int64]:
    """First and behind-the-last place of each user's events of a part in the data set's histories, ``[users, 2]``."""
    ends = dataset.user_offsets[:-1] + counts[:, : part + 1].sum(axis=1)
    return np.stack([ends - counts[:, part], ends], axis=1)
