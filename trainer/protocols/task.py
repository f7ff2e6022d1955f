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
    """What is learnt from, what decides, and what is looked at once.

    The data set's events are ordered so that the first ``learn_end`` of them are to be learnt from, and those up to
    ``known_end`` are known by the time of the test. The settings, and the epoch, are those with the best ``chosen_by``
    of the ``metrics`` on the validation. With ``refit`` the model is then trained anew on all that is known, for as
    many epochs. With ``both_stages`` there is a ranker, which learns from the events between the two ends.
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
    """The data set with its events by their part ``[N]``, then as before; and how many each user has, ``[users, 3]``.

    Of each user, what is in the first part so comes first.
    """
    ordered = dataset.in_order(np.argsort(parts, kind="stable"))
    users = len(dataset.user_ids)
    counts = [np.bincount(dataset.user_rows[parts == part], minlength=users) for part in (TRAIN, VALIDATION, TEST)]
    return ordered, np.stack(counts, axis=1)


def spans(dataset: Dataset, counts: NDArray[np.int64], part: int) -> NDArray[np.int64]:
    """First and behind-the-last place of each user's events of a part in the data set's histories, ``[users, 2]``."""
    ends = dataset.user_offsets[:-1] + counts[:, : part + 1].sum(axis=1)
    return np.stack([ends - counts[:, part], ends], axis=1)
