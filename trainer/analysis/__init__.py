"""What ranking adds to retrieval, and by what."""

from trainer.analysis.attribution import (
    Attribution,
    RankerAttribution,
    attribute,
    attribute_ranker,
    described_attributions,
)
from trainer.analysis.chain import Chain
from trainer.analysis.objectives import GoalFigures

__all__ = [
    "Attribution",
    "Chain",
    "GoalFigures",
    "RankerAttribution",
    "attribute",
    "attribute_ranker",
    "described_attributions",
]
