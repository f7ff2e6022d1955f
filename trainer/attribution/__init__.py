"""What ranking adds to retrieval, and by what."""

from trainer.attribution.attribution import (
    Attribution,
    RankerAttribution,
    attribute,
    attribute_ranker,
    described_attributions,
)
from trainer.attribution.chain import Chain
from trainer.attribution.goals import GoalFigures

__all__ = [
    "Attribution",
    "Chain",
    "GoalFigures",
    "RankerAttribution",
    "attribute",
    "attribute_ranker",
    "described_attributions",
]
