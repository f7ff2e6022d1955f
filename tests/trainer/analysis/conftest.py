"""Rankers of which it is known what they look at."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from trainer.models.pipeline import TrainedPipeline
from trainer.models.registry import build_ranker


@pytest.fixture
def untrained(fitted: TrainedPipeline) -> Callable[[float], TrainedPipeline]:
    """Both stages, whose ranker has learnt nothing: it is so many times the inner product."""

    def make(factor: float) -> TrainedPipeline:
        ranker = build_ranker(fitted.recipe.ranker, fitted.ranker.spec).eval()
        with torch.no_grad():
            ranker.dot_G[0] = factor
        return replace(fitted, ranker=ranker)

    return make
