"""The gain of ranking over retrieval, and the features behind it."""

from trainer.analysis.attribution import (
    Attribution,
    RankerAttribution,
    attribute,
    attribute_ranker,
    described_attributions,
)
from trainer.analysis.chain import Chain
from trainer.analysis.objectives import ObjectiveFigures

__all__ = [
    "Attribution",
    "Chain",
    "ObjectiveFigures",
    "RankerAttribution",
    "attribute",
    "attribute_ranker",
    "described_attributions",
]
