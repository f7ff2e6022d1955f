"""The item vectors in the plane, with a label for each item."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from trainer.data.dataset import Features
from trainer.data.split import subsample

POINTS = 3000
CATEGORIES = 7
OTHER = "other"


@dataclass(frozen=True, kw_only=True, eq=False)
class ItemMap:
    """M items: ``points`` ``[M, 2]`` are the first two principal components.

    ``explained`` is their share of the vectors' variance. ``codes`` ``[M]`` are places in the ``labels``, values of the
    item table's column ``column``.
    """

    points: NDArray[np.float64]
    explained: float
    column: str
    labels: tuple[str, ...]
    codes: NDArray[np.int64]

    @classmethod
    def of(cls, vectors: NDArray[np.float32], features: Features) -> Self:
        """The map of item vectors ``[N, D]``; of at most three thousand items, evenly spaced."""
        rows = subsample(np.arange(len(vectors)), POINTS)
        centred = vectors[rows].astype(np.float64)
        centred -= centred.mean(axis=0)
        left, strengths, _ = np.linalg.svd(centred, full_matrices=False)
        variance = strengths**2
        points = np.zeros((len(rows), 2))
        points[:, : len(strengths)] = (left * strengths)[:, :2]
        column, labels, codes = _categories(features, rows)
        return cls(
            points=points,
            explained=float(variance[:2].sum() / max(variance.sum(), np.finfo(np.float64).tiny)),
            column=column,
            labels=labels,
            codes=codes,
        )


def _categories(features: Features, rows: NDArray[np.int64]) -> tuple[str, tuple[str, ...], NDArray[np.int64]]:
    """The first column with categories, its most frequent values, and the rarest of these that each item has."""
    content = np.flatnonzero(features.is_content)
    if not len(content):
        return "", ("items",), np.zeros(len(rows), dtype=np.int64)
    column = features.names[content[0]].partition("=")[0]
    own = np.array([at for at in content if features.names[at].partition("=")[0] == column])
    has = features.matrix[np.ix_(rows, own)] > 0
    order = np.argsort(-has.sum(axis=0), kind="stable")[:CATEGORIES]
    has = has[:, order]
    codes = np.where(has.any(axis=1), len(order) - 1 - has[:, ::-1].argmax(axis=1), len(order))
    labels = [features.names[own[at]].partition("=")[2] for at in order]
    return column, (*labels, OTHER), codes
