"""From scores to the order of a list."""

import numpy as np
import pytest

from shortlist.inference.selection import best_first


def test_the_best_come_first_and_equal_scores_keep_their_order() -> None:
    """Proves that an answer is the same each time."""
    scores = np.array([1.0, 3.0, 1.0, 3.0, 2.0], dtype=np.float32)
    assert best_first(scores, 4).tolist() == [1, 3, 4, 0]


def test_scores_that_are_not_finite_come_last() -> None:
    """Proves that a broken score never puts an item on top, whichever way it is broken."""
    scores = np.array([np.nan, -5.0, np.inf, 0.0, -np.inf], dtype=np.float32)
    assert best_first(scores, 5).tolist() == [3, 1, 0, 2, 4]


@pytest.mark.parametrize("limit", [1, 7, 39, 40, 50])
def test_each_line_is_ordered_as_a_stable_sort_orders_it(limit: int) -> None:
    """Proves it with many ties, some of them at the cut, and with items that are left out."""
    scores = np.random.default_rng(0).integers(0, 6, size=(50, 40)).astype(np.float32)
    scores[:, ::9] = -np.inf
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :limit]
    assert best_first(scores, limit).tolist() == expected.tolist()
