"""Exact scores for the items that an index found. An index that compresses its vectors gives rounded scores."""

import numpy as np
from numpy.typing import NDArray


def rescored(
    rows: NDArray[np.int64], vector: NDArray[np.float32], vectors: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The rows ``[n]``, best first, and their inner products ``[n]`` with a user vector ``[D]``; ties keep their order.

    ``vectors`` ``[items, D]`` are the item vectors. Each call multiplies for one query, so that a score has the same
    bits whichever other queries share the search.
    """
    scores = vectors.take(rows, axis=0) @ vector
    order = np.argsort(-scores, kind="stable")
    return rows.take(order), scores.take(order)
