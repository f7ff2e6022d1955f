"""Candidates, the best first, and what the ranker makes of them."""

import numpy as np
import pytest

from shortlist.bundle.history import History
from trainer.data import Dataset
from trainer.evaluation.rankings import best_first
from trainer.models.pipeline import TrainedPipeline


@pytest.mark.parametrize("count", [1, 7, 39, 40, 50])
def test_the_best_are_those_of_a_stable_sort(count: int) -> None:
    """Proves it with many ties, some of them at the cut, and with items that are hidden."""
    scores = np.random.default_rng(0).integers(0, 6, size=(50, 40)).astype(np.float32)
    scores[:, ::9] = -np.inf
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    assert best_first(scores, count).tolist() == expected.tolist()


def test_who_did_a_single_thing_is_recommended_something(fitted: TrainedPipeline, planted: Dataset) -> None:
    """Proves that a batch in which no history is longer than one is ranked like any other."""
    one = History(rows=np.array([3], np.int32), values=np.array([5], np.float32), events=np.array([0]))
    rows = fitted.recommend([one], planted.known_user_features[:1], 5)
    assert len(set(rows[0].tolist()) - {3}) == 5
