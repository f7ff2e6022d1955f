"""From scores to a list."""

import numpy as np

from ranking_service.selection import best_first


def test_the_best_come_first_and_equals_keep_their_order() -> None:
    """Ties are stable, so that an answer is the same each time."""
    scores = np.array([1.0, 3.0, 1.0, 3.0, 2.0], dtype=np.float32)
    assert best_first(scores, 4).tolist() == [1, 3, 4, 0]


def test_scores_that_are_not_finite_come_last() -> None:
    """A broken score never puts an item on top, whichever way it is broken."""
    scores = np.array([np.nan, -5.0, np.inf, 0.0, -np.inf], dtype=np.float32)
    assert best_first(scores, 5).tolist() == [3, 1, 0, 2, 4]
