"""Candidates: the best first."""

import numpy as np
import pytest

from trainer.evaluation.rankings import best_first


@pytest.mark.parametrize("count", [1, 7, 39, 40, 50])
def test_the_best_are_those_of_a_stable_sort(count: int) -> None:
    """Proves it with many ties, some of them at the cut, and with items that are hidden."""
    scores = np.random.default_rng(0).integers(0, 6, size=(50, 40)).astype(np.float32)
    scores[:, ::9] = -np.inf
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    assert best_first(scores, count).tolist() == expected.tolist()
