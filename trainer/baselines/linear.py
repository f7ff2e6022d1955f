"""Baselines for any recommender, on the same events by the same code: histories → scores of all items."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from trainer.baselines.neighbours import cooccurrence, item_knn, transitions
from trainer.baselines.profiles import each_once
from trainer.data import Dataset
from trainer.evaluation.queries import Profiles
from trainer.evaluation.rankings import Scorer
from trainer.features.statistics import interaction_matrix

_EASE_LAMBDA = 500.0
# EASE inverts a dense matrix of the items: beyond this it is left out, and the report says so.
_MAX_DENSE_ITEMS = 20_000
# With long histories over a small catalogue, a product of dense matrices is several times faster.
_FULL = 0.03


def popularity(dataset: Dataset, end: int) -> Scorer:
    """The number of events of each item."""
    count = np.bincount(dataset.item_rows[:end], minlength=len(dataset.item_ids)).astype(np.float64)
    return lambda profiles: np.tile(count, (len(profiles), 1))


def content_knn(dataset: Dataset, end: int) -> Scorer:
    """Sum over the history of the cosine of the items' features; learns from no event, and so knows new items, too."""
    features = dataset.item_features.matrix
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    directions = features / np.where(lengths > 0, lengths, 1.0)

    def score(profiles: Profiles) -> NDArray[np.floating]:
        scores: NDArray[np.floating] = (each_once(profiles, len(directions)) @ directions) @ directions.T
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


def _linear(weights: NDArray[np.floating]) -> Scorer:
    def score(profiles: Profiles) -> NDArray[np.floating]:
        histories = each_once(profiles, len(weights))
        full = histories.nnz > _FULL * len(profiles) * len(weights)
        scores: NDArray[np.floating] = (histories.toarray() if full else histories) @ weights
        return scores

    return score


BASELINES: dict[str, Callable[[Dataset, int], Scorer]] = {
    "popularity": popularity,
    "itemknn": item_knn,
    "contentknn": content_knn,
    "ease": ease,
    "cooccurrence": cooccurrence,
    "transitions": transitions,
}


def not_run(dataset: Dataset) -> dict[str, str]:
    """The baselines that the data's size or features rule out, by name with the reason."""
    items, reasons = len(dataset.item_ids), dict[str, str]()
    if not dataset.item_features.names:
        reasons["contentknn"] = "the items have no features"
    if items > _MAX_DENSE_ITEMS:
        reasons["ease"] = f"it inverts a dense matrix of {items:,} items; the limit is {_MAX_DENSE_ITEMS:,}"
    return reasons


def baselines_for(dataset: Dataset) -> dict[str, Callable[[Dataset, int], Scorer]]:
    """All baselines but those of :func:`not_run`."""
    ruled_out = not_run(dataset)
    return {name: fit for name, fit in BASELINES.items() if name not in ruled_out}
