"""Where items stand among each other by what is done with them, before anything is learnt.

A spectral embedding (Belkin and Niyogi, 2003) of the graph in which items are linked that a user did soon after one
another. To factorise such counts is what word vectors do as well (Levy and Goldberg, 2014).
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
    """One of length one for each item with an event before ``end`` that stands beside another, zeros for the others:
    ``[items, width]``.

    Computed over the items that have one, so that the cost does not grow with the rest of the catalogue.
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
    """The rows of the graph's main directions, each direction by the root of its weight; ``[linked, ≤ width]``.

    A link counts for less between items that have many; the prior keeps the rarest from standing out.
    """
    roots = sparse.diags_array(1.0 / np.sqrt(together.sum(axis=1) + _PRIOR))
    graph = (roots @ together @ roots).tocsr().astype(np.float32)
    values, directions = right_singular_vectors(graph, width, random)
    placed = directions * np.sqrt(values)
    lengths = np.linalg.norm(placed, axis=1, keepdims=True)
    at_one: NDArray[np.float32] = placed / lengths.clip(min=np.finfo(np.float32).tiny)
    return at_one
