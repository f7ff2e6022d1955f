"""Exact scores for what an index found, whose own are rounded when it keeps its vectors in fewer bits."""

import numpy as np
from numpy.typing import NDArray


def rescored(
    rows: NDArray[np.int64], vector: NDArray[np.float32], vectors: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Rows ``[n]`` in the order of their inner products ``[n]`` with a user vector ``[D]``, best first, ties stable.

    ``vectors`` ``[items, D]`` are the items' own. It is one matrix and one query a call, so that a score has the same
    bits whichever other queries share the search.
    """
    scores = vectors.take(rows, axis=0) @ vector
    order = np.argsort(-scores, kind="stable")
    return rows.take(order), scores.take(order)
