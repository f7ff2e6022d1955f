"""Candidates, the best first, and their order by the ranker."""

import numpy as np

from shortlist.bundle.history import History
from trainer.data import Dataset
from trainer.models.pipeline import TrainedPipeline


def test_who_did_a_single_thing_is_recommended_something(fitted: TrainedPipeline, planted: Dataset) -> None:
    """Proves that a batch in which no history is longer than one is ranked like any other."""
    one = History(rows=np.array([3], np.int32), values=np.array([5], np.float32), events=np.array([0]))
    rows = fitted.recommend([one], planted.known_user_features[:1], 5)
    assert len(set(rows[0].tolist()) - {3}) == 5
