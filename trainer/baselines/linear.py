"""Baselines for any recommender, on the same events by the same code: histories → scores of all items."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from trainer.data import Dataset
from trainer.evaluation.queries import Profiles
from trainer.evaluation.rankings import Scorer
from trainer.features.cooccurrence import cooccurrence_counts
from trainer.features.statistics import interaction_matrix
from trainer.recipe import StatisticsConfig

_EASE_LAMBDA = 500.0
_SEQUENTIAL_DECAY = 0.8
# EASE inverts a dense matrix of the items, and the others hold one: beyond this they are left out of the report.
_MAX_DENSE_ITEMS = 20_000
# With long histories over a small catalogue, a product of dense matrices is several times faster.
_FULL = 0.03


def popularity(dataset: Dataset, end: int) -> Scorer:
    """The number of events of each item."""
    count = np.bincount(dataset.item_rows[:end], minlength=len(dataset.item_ids)).astype(np.float64)
    return lambda profiles: np.tile(count, (len(profiles), 1))


def item_knn(dataset: Dataset, end: int) -> Scorer:
    """Sum over the history of the cosine of the items' users (Sarwar et al., 2001)."""
    matrix = interaction_matrix(dataset, end)
    together = (matrix.T @ matrix).toarray()
    norms = np.sqrt(np.maximum(together.diagonal(), 1.0))
    return _linear(together / np.outer(norms, norms))


def content_knn(dataset: Dataset, end: int) -> Scorer:
    """Sum over the history of the cosine of the items' features; learns from no event, and so knows new items, too."""
    features = dataset.item_features.matrix
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    directions = features / np.where(lengths > 0, lengths, 1.0)

    def score(profiles: Profiles) -> NDArray[np.floating]:
        scores: NDArray[np.floating] = (_each_once(profiles, len(directions)) @ directions) @ directions.T
        return scores

    return score


def ease(dataset: Dataset, end: int) -> Scorer:
    """EASE (Steck, 2019, arXiv:1905.03375): B = I − P diag(1 / diag P), with P = (XᵀX + λI)⁻¹."""
    matrix = interaction_matrix(dataset, end)
    gram = torch.from_numpy((matrix.T @ matrix).toarray().astype(np.float32))
    gram.diagonal().add_(_EASE_LAMBDA)
    # By its factor, in half the operations of an inverse of any matrix, and in the precision that the field uses.
    precision = torch.cholesky_inverse(torch.linalg.cholesky(gram)).numpy()
    weights = precision / -np.diag(precision)
    np.fill_diagonal(weights, 0.0)
    return _linear(weights)


def cooccurrence(dataset: Dataset, end: int) -> Scorer:
    """The items that followed the items of the history, where the latest count most."""
    follows = cooccurrence_counts(dataset, end, StatisticsConfig(), liked_only=False).toarray()
    follows /= follows.sum(axis=1, keepdims=True) + 10.0

    def score(profiles: Profiles) -> NDArray[np.floating]:
        scores: NDArray[np.floating] = _by_item(profiles, len(follows), _decayed) @ follows
        return scores

    return score


def _decayed(length: int) -> NDArray[np.float64]:
    return np.asarray(_SEQUENTIAL_DECAY ** np.arange(length)[::-1])


def _linear(weights: NDArray[np.floating]) -> Scorer:
    def score(profiles: Profiles) -> NDArray[np.floating]:
        histories = _each_once(profiles, len(weights))
        full = histories.nnz > _FULL * len(profiles) * len(weights)
        scores: NDArray[np.floating] = (histories.toarray() if full else histories) @ weights
        return scores

    return score


def _each_once(profiles: Profiles, items: int) -> sparse.csr_array:
    """The items of each history, ``[B, items]`` of ones."""
    found = _by_item(profiles, items, np.ones)
    found.data[:] = 1.0
    return found


def _by_item(profiles: Profiles, items: int, weights_of: Callable[[int], NDArray[np.float64]]) -> sparse.csr_array:
    """The histories as rows, ``[B, items]``, an event of each by its weight among so many."""
    lengths = [len(history) for history in profiles.histories]
    lines = np.repeat(np.arange(len(lengths)), lengths)
    rows = np.concatenate([np.zeros(0, dtype=np.int32), *(history.rows for history in profiles.histories)])
    weights = np.concatenate([np.zeros(0), *map(weights_of, lengths)])
    return sparse.coo_array((weights, (lines, rows)), (len(lengths), items)).tocsr()


BASELINES: dict[str, Callable[[Dataset, int], Scorer]] = {
    "popularity": popularity,
    "itemknn": item_knn,
    "contentknn": content_knn,
    "ease": ease,
    "cooccurrence": cooccurrence,
}


def baselines_for(dataset: Dataset) -> dict[str, Callable[[Dataset, int], Scorer]]:
    """The baselines that the data's size and features allow."""
    left_out = set() if dataset.item_features.names else {"contentknn"}
    if len(dataset.item_ids) > _MAX_DENSE_ITEMS:
        left_out |= {"itemknn", "ease", "cooccurrence"}
    return {name: fit for name, fit in BASELINES.items() if name not in left_out}
