"""Levels: the likelihood and the expectation, by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from trainer.experiments.ratings.heads import Levels
from trainer.experiments.ratings.known import Batch, Known
from trainer.experiments.ratings.ratings import Ratings, Scale
from trainer.experiments.ratings.residuals import Residuals


def test_levels_are_told_by_the_thresholds_between_them() -> None:
    """Proves a score's expectation and loss on a scale of 1, 2 and 5 of which one rating each is learnt from."""
    ratings = Ratings(
        user_rows=np.array([0, 1, 2]),
        item_rows=np.array([0, 0, 0]),
        values=np.array([1, 2, 5], dtype=np.float32),
        users=3,
        items=1,
    )
    scale = Scale.of(ratings)
    known = Residuals.of(ratings, scale)
    batch = replace(Batch.to_learn(known, np.arange(3)), beyond_item_N=torch.zeros(3), learnt=False)
    levels = Levels(replace(Known.of(known), squares_U=torch.full((3,), 1.0)), scale, share=0.25)
    torch.nn.init.zeros_(levels.sharpness)  # the variance of all is (1 + 5) / (1 + 5), so that they are as sharp as 1
    low, high = 1.5 - 8 / 3, 3.5 - 8 / 3
    above = [1 / (1 + math.exp(low)), 1 / (1 + math.exp(high))]  # of a score of 0
    expected = 1 + above[0] + 3 * above[1] - 8 / 3
    scores_N = torch.zeros(3)
    assert levels.values(scores_N, batch).tolist() == pytest.approx([expected] * 3, abs=1e-6)
    likelihoods = [1 - above[0], above[0] - above[1], above[1]]
    squares = [(expected - (rating - 8 / 3)) ** 2 for rating in (1, 2, 5)]
    by_hand = np.mean([0.75 * square - 0.25 * math.log(p) for square, p in zip(squares, likelihoods, strict=True)])
    assert levels.loss(scores_N, batch).item() == pytest.approx(by_hand, rel=1e-5)
