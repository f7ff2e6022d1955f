"""A query of the first stage and its result, in rows of one bundle: the same types in both services."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shortlist.bundle.history import History
from shortlist.inference.candidates import Candidates


@dataclass(frozen=True, kw_only=True)
class RetrievalQuery:
    """A user whose candidates are to be found, in rows of the bundle.

    The query vector is ``vector`` ``[D]`` when it is given, else the encoding of ``history`` and ``user_features``
    ``[U]``. The features are None for a user that the bundle does not describe, and where the encoder reads none. A
    query with neither vector, history nor features gets popular items. ``excluded`` are rows, ascending, that may not
    be found; ``limit`` is how many candidates to find. ``live_count`` is how many live
    items were known before ``excluded`` was made. Only these may be found, for a later one may be excluded by its id.
    """

    history: History
    excluded: NDArray[np.int64]
    limit: int
    user_features: NDArray[np.float32] | None = None
    vector: NDArray[np.float32] | None = None
    live_count: int = 0


@dataclass(frozen=True, kw_only=True)
class Retrieved:
    """The candidates of a query, best first, and the vector ``[D]`` they were searched with; None for popular items."""

    candidates: Candidates
    vector: NDArray[np.float32] | None
