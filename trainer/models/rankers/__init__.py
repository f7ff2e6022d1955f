"""Rankers: user, history, candidates → logits of the objectives. A new one is a file here and a recipe."""

from trainer.models.rankers.base import Backbone, RankerDataSpec, RankerFeatures
from trainer.models.rankers.mmoe import MixtureOfExperts
from trainer.models.rankers.objectives import Objective, Objectives
from trainer.models.rankers.ranker import Ranker, SharedBackbone

__all__ = [
    "Backbone",
    "MixtureOfExperts",
    "Objective",
    "Objectives",
    "Ranker",
    "RankerDataSpec",
    "RankerFeatures",
    "SharedBackbone",
]
