"""The best rows of lines of scores, against a stable sort of each line."""

import numpy as np
import pytest

from trainer.evaluation import best_rows as module
from trainer.evaluation.best_rows import best_rows


@pytest.mark.parametrize("limit", [1, 10, 200, 400])
def test_the_best_rows_are_those_of_a_stable_sort(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves it for ties, for lines with few numbers, and for scores that are not finite, which come last."""
    monkeypatch.setattr(module, "_LEAST_ITEMS", 0)
    random = np.random.default_rng(0)
    scores = random.normal(size=(12, 4001)).astype(np.float32)
    scores[1] = np.round(scores[1])
    scores[2] = 0.0
    scores[3, ::2] = -np.inf
    scores[4], scores[5] = -np.inf, np.nan
    scores[6, 7], scores[7, 8] = np.nan, np.inf
    scores[8, 50:] = -np.inf
    scores[9, 900:] = np.nan
    scores[10] = np.arange(4001)
    scores[11] = -np.arange(4001)
    known = np.where(np.isfinite(scores), scores, -np.inf)
    expected = np.argsort(-known, axis=1, kind="stable")[:, :limit]
    np.testing.assert_array_equal(best_rows(scores, limit), expected)
