"""What is counted rather than learnt, as of a moment: nothing here looks at an event at or after ``end``."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from shortlist.bundle.tables import ItemTables
from shortlist.bundle.transitions import TransitionTable
from trainer.data import Dataset
from trainer.data.arrays import chunks
from trainer.rates import Rates
from trainer.recipe import Statistics

STATISTICS = ("count", "likes", "mean_value", "age", "unseen")
_PRIOR_EVENTS = 5.0
_PRIOR_FOLLOWERS = 10.0
_COSINE_CHUNK = 1000


def item_tables(
    dataset: Dataset,
    end: int,
    recipe: Statistics,
    vectors: NDArray[np.float32],
    inputs: NDArray[np.float32] | None = None,
    rates: Rates | None = None,
) -> ItemTables:
    """The item tables of a bundle whose data ends before event ``end``; without ``inputs`` they are the vectors."""
    counted = [item_statistics(dataset, end), *([] if rates is None else [rates.items])]
    known = dataset.known_values(end)
    return ItemTables(
        ids=dataset.item_ids,
        vectors=vectors,
        inputs=vectors if inputs is None else inputs,
        features=np.hstack([*counted, dataset.item_features.matrix]),
        popular=popularity_order(dataset, end),
        transitions=transition_table(dataset, end, recipe),
        value_mean=float(known.mean()) if len(known) else 0.0,
        value_std=max(float(known.std()), 1e-3) if len(known) else 1.0,
    )


def item_statistics(dataset: Dataset, end: int) -> NDArray[np.float32]:
    """One standardised column for each of ``STATISTICS``, ``[items, 5]``.

    The mean value is drawn to the mean of all by a few events' worth; the age is the time since the first event.
    """
    rows, items = dataset.item_rows[:end], len(dataset.item_ids)
    count = np.bincount(rows, minlength=items)
    likes = _sums(rows, dataset.likes[:end], items)
    first = np.full(items, dataset.times[end - 1])
    np.minimum.at(first, rows, dataset.times[:end])
    age = np.log1p(np.maximum(dataset.times[end - 1] - first, 0))
    columns = [np.log1p(count), np.log1p(likes), _mean_value(dataset, end, count), age]
    standardised = [(column - column.mean()) / (column.std() + 1e-6) for column in columns]
    return np.stack([*standardised, count == 0], axis=1).astype(np.float32)


def popularity_order(dataset: Dataset, end: int) -> NDArray[np.int32]:
    """Item rows by number of likes, then of events, ``[items]``."""
    rows, items = dataset.item_rows[:end], len(dataset.item_ids)
    count = np.bincount(rows, minlength=items)
    likes = _sums(rows, dataset.likes[:end], items)
    return np.lexsort((np.arange(items), -count, -likes)).astype(np.int32)


def transition_table(dataset: Dataset, end: int, recipe: Statistics) -> TransitionTable:
    """For each item the ``neighbours`` that follow it most, with what the ranker wants to know of each pair."""
    follows = follow_counts(dataset, end, recipe, liked_only=False)
    liked = _as_probability(follow_counts(dataset, end, recipe, liked_only=True))
    follows = _as_probability(follows)
    offsets, pairs = _strongest(follows, recipe.neighbours)
    earlier, later = follows.row[pairs], follows.col[pairs]
    matrix = interaction_matrix(dataset, end, max(0, end - recipe.events))
    weights = [follows.data[pairs], _values_at(liked, earlier, later), _cosines(matrix, earlier, later)]
    return TransitionTable(
        offsets=offsets, rows=later.astype(np.int32), weights=np.stack(weights, axis=1).astype(np.float32)
    )


def follow_counts(dataset: Dataset, end: int, recipe: Statistics, *, liked_only: bool) -> sparse.coo_array:
    """How often an item comes after another within the window, less for each step in between, ``[items, items]``."""
    start = max(0, end - recipe.events)
    parts = [dataset.user_events[chunk] for chunk in chunks(len(dataset.user_events))]
    events = np.concatenate([part[(part >= start) & (part < end)] for part in parts])
    users, items = dataset.user_rows[events], dataset.item_rows[events]
    size = len(dataset.item_ids)
    total = sparse.csr_array((size, size), dtype=np.float64)
    for step in range(1, min(recipe.window, len(events) - 1) + 1):
        pairs = users[:-step] == users[step:]
        if liked_only:
            pairs &= dataset.likes[events[step:]]
        weight = np.full(int(pairs.sum()), recipe.decay ** (step - 1))
        total = total + sparse.coo_array((weight, (items[:-step][pairs], items[step:][pairs])), (size, size)).tocsr()
    return total.tocoo()


def interaction_matrix(dataset: Dataset, end: int, start: int = 0) -> sparse.csr_array:
    """Who did anything with what in the events from ``start`` to ``end``, ``[users, items]`` of ones."""
    shape = (len(dataset.user_ids), len(dataset.item_ids))
    pairs = (dataset.user_rows[start:end], dataset.item_rows[start:end])
    matrix = sparse.coo_array((np.ones(end - start), pairs), shape).tocsr()
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


def _as_probability(counts: sparse.coo_array) -> sparse.coo_array:
    total = np.asarray(counts.sum(axis=1)).ravel()
    return sparse.coo_array(
        (counts.data / (total[counts.row] + _PRIOR_FOLLOWERS), (counts.row, counts.col)), counts.shape
    )


def _strongest(matrix: sparse.coo_array, keep: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places of the ``keep`` largest entries of each row, row by row, and where each row starts among them."""
    order = np.lexsort((matrix.col, -matrix.data, matrix.row))
    counts = np.bincount(matrix.row, minlength=matrix.shape[0])
    place = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    offsets = np.concatenate([[0], np.cumsum(np.minimum(counts, keep))])
    return offsets.astype(np.int64), order[place < keep]


def _values_at(matrix: sparse.coo_array, rows: NDArray[np.int32], columns: NDArray[np.int32]) -> NDArray[np.float64]:
    if not len(rows):  # which scipy answers with a sparse array, and not with values
        return np.zeros(0)
    return np.asarray(matrix.tocsr()[rows, columns]).ravel()


def _cosines(matrix: sparse.csr_array, rows: NDArray[np.int32], columns: NDArray[np.int32]) -> NDArray[np.float64]:
    """Cosine of the two items' users for each pair; ``rows`` ascend. In chunks, since all pairs may not fit."""
    matrix = matrix.tocsc()
    norms = np.sqrt(np.maximum(np.asarray(matrix.sum(axis=0)).ravel(), 1.0))
    together = np.zeros(len(rows))
    for start in range(0, matrix.shape[1], _COSINE_CHUNK):
        chunk = slice(*np.searchsorted(rows, [start, start + _COSINE_CHUNK]))
        if chunk.start < chunk.stop:
            counts = (matrix[:, start : start + _COSINE_CHUNK].T @ matrix).tocsr()
            together[chunk] = np.asarray(counts[rows[chunk] - start, columns[chunk]]).ravel()
    cosines = together / (norms[rows] * norms[columns])
    return np.where(rows == columns, 0.0, cosines)
