"""Rankers of which it is known what they look at."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from trainer.rankers import build_ranker
from trainer.two_stage import TwoStage


@pytest.fixture
def untrained(fitted: TwoStage) -> Callable[[float], TwoStage]:
    """Both stages, whose ranker has learnt nothing: it is so many times the inner product."""

    def make(factor: float) -> TwoStage:
        ranker = build_ranker(fitted.recipe.ranker, fitted.ranker.sizes).eval()
        with torch.no_grad():
            ranker.dot_G[0] = factor
        return replace(fitted, ranker=ranker)

    return make
