"""Cold start of items or users without training interactions, by splits that come with the data."""

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trainer.data import Dataset
from trainer.data.dataset import Ids
from trainer.evaluation.queries import Queries
from trainer.protocols.given_parts import given_parts, refuse_several
from trainer.protocols.task import TEST, TRAIN, VALIDATION, Task, by_part, spans
from trainer.recipe import DataRecipe

METRICS = ("recall@100", "recall@20", "recall@50", "ndcg@100", "ndcg@20", "coverage@20", "gini@20", "novelty@20")


def cold_items(dataset: Dataset, recipe: DataRecipe, data: Path) -> Task:
    """Ranks only the items of the part, all without an interaction to learn from, by their content.

    The setting of DropoutNet (Volkovs et al., 2017) and Heater (Zhu et al., 2020). A user's history is the user's
    events of the training part, and may be empty.

    Raises:
        DataError: an item is in several parts.
    """
    parts = given_parts(dataset, recipe, data)
    _refuse_warm(recipe, recipe.interactions.item, dataset.item_ids, _items_of(dataset, parts).sum(axis=0))
    return cold_items_by(dataset, parts)


def cold_items_by(dataset: Dataset, parts: NDArray[np.int64]) -> Task:
    """The same, by the part ``[N]`` of each event; all events of an item are in one part."""
    ordered, counts = by_part(dataset, parts)
    in_part = _items_of(dataset, parts)
    validation, test = (_questions_about(ordered, counts, part, in_part[part]) for part in (VALIDATION, TEST))
    return _task(ordered, counts, validation, test, "recall@100")


def cold_users(dataset: Dataset, recipe: DataRecipe, data: Path) -> Task:
    """Queries users without a history, by their features alone, for all their later items.

    Raises:
        DataError: a user is in several parts.
    """
    ordered, counts = by_part(dataset, given_parts(dataset, recipe, data))
    _refuse_warm(recipe, recipe.interactions.user, dataset.user_ids, (counts > 0).sum(axis=1))
    validation, test = (_questions_about(ordered, counts, part, None) for part in (VALIDATION, TEST))
    return _task(ordered, counts, validation, test, "recall@20")


def _items_of(dataset: Dataset, parts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether a part has events of an item, ``[3, items]``."""
    return np.stack(
        [np.bincount(dataset.item_rows[parts == part], minlength=len(dataset.item_ids)) > 0 for part in range(3)]
    )


def _refuse_warm(recipe: DataRecipe, column: str, ids: Ids, parts: NDArray[np.int64]) -> None:
    """Refuses ids that are in more ``parts`` than one."""
    several = pl.DataFrame({column: [one.decode() for one in ids[parts > 1]]}, schema={column: pl.String})
    refuse_several(recipe, several, int((parts > 0).sum()), ", and so not cold")


def _questions_about(
    dataset: Dataset, counts: NDArray[np.int64], part: int, candidates: NDArray[np.bool_] | None
) -> Queries:
    users = np.flatnonzero(counts[:, part])
    return Queries(
        dataset=dataset,
        users=users,
        histories=spans(dataset, counts, TRAIN)[users],
        targets=spans(dataset, counts, part)[users],
        candidates=candidates,
    )


def _task(dataset: Dataset, counts: NDArray[np.int64], validation: Queries, test: Queries, chosen_by: str) -> Task:
    learn_end = int(counts[:, TRAIN].sum())
    return Task(
        dataset=dataset,
        learn_end=learn_end,
        known_end=learn_end,
        validation=validation,
        test=test,
        metrics=METRICS,
        chosen_by=chosen_by,
    ).answerable()
