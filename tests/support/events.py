"""Look-ups in a data set, for tests."""

import numpy as np
from numpy.typing import NDArray

from trainer.data import Dataset


def events_of(dataset: Dataset, user_row: int) -> NDArray[np.int64]:
    """The positions of one user's events, oldest first."""
    return np.flatnonzero(dataset.user_rows == user_row)
