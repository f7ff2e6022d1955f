"""Counts of items and pairs of items; nothing here looks at an event at or after ``end``."""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from shortlist.bundle.item_item import ItemItemTables
from shortlist.bundle.tables import ItemTables
from trainer.data import Dataset
from trainer.data.arrays import chunks
from trainer.data.time_texts import SECOND
from trainer.features.click_rates import ClickRates
from trainer.features.cooccurrence import cooccurrence_table
from trainer.features.layout import item_columns
from trainer.features.slim import slim_table
from trainer.recipe import StatisticsConfig

_PRIOR_EVENTS = 5.0


def item_tables(
    dataset: Dataset,
    end: int,
    recipe: StatisticsConfig,
    vectors: NDArray[np.float32],
    inputs: NDArray[np.float32] | None = None,
    click_rates: ClickRates | None = None,
) -> ItemTables:
    """The item tables of a bundle whose data ends before event ``end``; ``inputs`` default to the vectors."""
    known = dataset.known_values(end)
    if click_rates is None:
        click_rates = ClickRates.none(len(dataset.item_ids), len(dataset.user_ids))
    statistics, unseen = statistics_with_unseen(dataset, end)
    return ItemTables(
        ids=dataset.item_ids,
        vectors=vectors,
        inputs=vectors if inputs is None else inputs,
        features=item_columns(statistics, click_rates.items, dataset.item_features.matrix),
        # An item without impressions has rates of 0.
        unseen=np.append(unseen, np.zeros(click_rates.items.shape[1], dtype=np.float32)),
        popular=popularity_order(dataset, end),
        listed=None if dataset.listed.all() else np.flatnonzero(dataset.listed).astype(np.int32),
        item_item=item_item_tables(dataset, end, recipe),
        value_mean=float(known.mean()) if len(known) else 0.0,
        value_std=max(float(known.std()), 1e-3) if len(known) else 1.0,
    )


def item_statistics(dataset: Dataset, end: int) -> NDArray[np.float32]:
    """A standardised column for each of :data:`trainer.features.layout.STATISTICS`, ``[items, 5]``.

    A prior of a few events smooths the mean value. The age is the time since an item's first event, in seconds.
    """
    return statistics_with_unseen(dataset, end)[0]


def statistics_with_unseen(dataset: Dataset, end: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """:func:`item_statistics`, and the same columns of a further item without an event before ``end``, ``[5]``."""
    rows, items = dataset.item_rows[:end], len(dataset.item_ids)
    count = np.bincount(rows, minlength=items)
    likes = _sums(rows, dataset.likes[:end], items)
    first = np.full(items, dataset.times[end - 1])
    np.minimum.at(first, rows, dataset.times[:end])
    age = np.log1p(np.maximum(dataset.times[end - 1] - first, 0) / SECOND)
    prior = dataset.values[:end].mean() if len(dataset.known_values(end)) else 0.0
    columns = [(np.log1p(count), 0.0), (np.log1p(likes), 0.0), (_mean_value(dataset, end, count), prior), (age, 0.0)]
    standardised = [(column - column.mean()) / (column.std() + 1e-6) for column, _ in columns]
    unseen = [(one - column.mean()) / (column.std() + 1e-6) for column, one in columns]
    return (
        np.stack([*standardised, count == 0], axis=1).astype(np.float32),
        np.array([*unseen, 1.0], dtype=np.float32),
    )


def popularity_order(dataset: Dataset, end: int) -> NDArray[np.int32]:
    """Item rows by number of likes, then of events, ``[items]``; those that lists may hold come first."""
    rows, items = dataset.item_rows[:end], len(dataset.item_ids)
    count = np.bincount(rows, minlength=items)
    likes = _sums(rows, dataset.likes[:end], items)
    return np.lexsort((np.arange(items), -count, -likes, ~dataset.listed)).astype(np.int32)


# Each seed and the trees need the same two: as of the start of the ranker's slice, and as of its end.
@lru_cache(maxsize=2)
def item_item_tables(dataset: Dataset, end: int, recipe: StatisticsConfig) -> ItemItemTables:
    """The item-item tables, counted over the latest events."""
    start = max(0, end - recipe.events)
    had, liked = (interaction_matrix(dataset, end, start, liked_only=liked_only) for liked_only in (False, True))
    return ItemItemTables(
        cooccurrence=cooccurrence_table(dataset, end, recipe), slim=slim_table(had, liked, recipe.neighbours)
    )


def interaction_matrix(dataset: Dataset, end: int, start: int = 0, *, liked_only: bool = False) -> sparse.csr_array:
    """Ones for each user and item with an event from ``start`` to ``end``, or a like, ``[users, items]``."""
    shape = (len(dataset.user_ids), len(dataset.item_ids))
    ones = (dataset.likes[start:end] if liked_only else np.ones(end - start)).astype(np.float64)
    matrix = sparse.coo_array((ones, (dataset.user_rows[start:end], dataset.item_rows[start:end])), shape).tocsr()
    matrix.eliminate_zeros()
    matrix.data[:] = 1.0
    return matrix


def _mean_value(dataset: Dataset, end: int, count: NDArray[np.int64]) -> NDArray[np.float64]:
    values = dataset.values[:end]
    if not len(dataset.known_values(end)):
        return np.zeros(len(count))
    mean = values.mean()
    total = _sums(dataset.item_rows[:end], values, len(count))
    return np.asarray((total + _PRIOR_EVENTS * mean) / (count + _PRIOR_EVENTS))


def _sums(rows: NDArray[np.int64], weights: NDArray[Any], items: int) -> NDArray[np.float64]:
    """The sum of each item's weights, ``[items]``."""
    total = np.zeros(items)
    for chunk in chunks(len(rows)):
        total += np.bincount(rows[chunk], weights=weights[chunk], minlength=items)
    return total
