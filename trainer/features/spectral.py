"""A spectral embedding of the co-occurrence graph, where item embeddings start.

The method is of Belkin and Niyogi, 2003. The graph links items that follow one another in a history within the window.
Word vectors factorise similar counts (Levy and Goldberg, 2014).
"""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from trainer.data import Dataset
from trainer.features.cooccurrence import cooccurrence_counts
from trainer.features.svd import right_singular_vectors
from trainer.recipe import StatisticsConfig

_PRIOR = 10.0


def spectral_vectors(dataset: Dataset, end: int, width: int, random: np.random.Generator) -> NDArray[np.float32]:
    """Unit vectors ``[items, width]`` of the items that the events before ``end`` link; zeros for all others.

    The computation covers the linked items alone, so the cost does not grow with the rest of the catalogue.
    """
    follows = cooccurrence_counts(dataset, end, StatisticsConfig(), liked_only=False).tocsr()
    together = follows + follows.T
    linked = np.flatnonzero(together.sum(axis=1))
    vectors = np.zeros((len(dataset.item_ids), width), dtype=np.float32)
    if len(linked):
        found = _directions(together[linked][:, linked], width, random)
        vectors[linked, : found.shape[1]] = found
    return vectors


def _directions(together: sparse.csr_array, width: int, random: np.random.Generator) -> NDArray[np.float32]:
    """The main directions of the graph, scaled by the roots of their weights, as unit rows; ``[linked, ≤ width]``.

    A link between items with many links counts less; the prior keeps the rarest from dominating.
    """
    roots = sparse.diags_array(1.0 / np.sqrt(together.sum(axis=1) + _PRIOR))
    graph = (roots @ together @ roots).tocsr().astype(np.float32)
    values, directions = right_singular_vectors(graph, width, random)
    placed = directions * np.sqrt(values)
    lengths = np.linalg.norm(placed, axis=1, keepdims=True)
    unit: NDArray[np.float32] = placed / lengths.clip(min=np.finfo(np.float32).tiny)
    return unit
