"""The shape that every ranker has, and the part that a new one fills in.

Legend of shapes, here and in the other files: B users, H interactions (latest first, padded at the end), C candidates.
D vector components, F item features, U user and context features, X crossing features, G objectives, M hidden units.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Self

import numpy as np
from torch import Tensor, nn

from shortlist.bundle.item_item import COOCCURRENCE, SLIM
from shortlist.bundle.tables import ItemTables
from trainer.features.layout import COUNTS, ID_EMBEDDINGS, FeatureGroups, FeatureLayout, named
from trainer.models.rankers.crossing import ID_EMBEDDING_FEATURES, MATCH_FEATURES, SIMILARITY_FEATURES
from trainer.models.rankers.objectives import Objectives
from trainer.recipe.models import RankerConfig


@dataclass(frozen=True, kw_only=True, eq=False)
class RankerDataSpec:
    """The facts about the data that a ranker is built from.

    ``vector_scale`` is the mean length of an item vector; ``value_mean`` and ``value_std`` describe the values of
    histories.
    """

    dimension: int
    layout: FeatureLayout
    vector_scale: float
    value_mean: float
    value_std: float
    objectives: Objectives

    @classmethod
    def of(cls, layout: FeatureLayout, items: ItemTables, objectives: Objectives) -> Self:
        """The facts about these item tables."""
        return cls(
            dimension=items.vectors.shape[1],
            layout=layout,
            vector_scale=float(np.linalg.norm(items.vectors, axis=1).mean()) or 1.0,
            value_mean=items.value_mean,
            value_std=items.value_std,
            objectives=objectives,
        )

    @property
    def of_lists(self) -> bool:
        """Whether the ranker learns from retrieved lists and not from impressions.

        The inner product and the place in a list are known to say something only of lists.
        """
        return not self.layout.click_rates

    @property
    def user_context(self) -> FeatureGroups:
        """The user features, then the context, U."""
        return self.layout.user_context_groups

    @property
    def items(self) -> FeatureGroups:
        """The item features without those that are counted, F."""
        return self.layout.described_item_groups

    @cached_property
    def crossing(self) -> FeatureGroups:
        """The crossing features, X."""
        return named(
            {
                "cooccurrence": COOCCURRENCE.stop - COOCCURRENCE.start,
                "slim": SLIM.stop - SLIM.start,
                "similarity": SIMILARITY_FEATURES,
                "match": MATCH_FEATURES,
                ID_EMBEDDINGS: ID_EMBEDDING_FEATURES if self.layout.id_embeddings else 0,
                COUNTS: self.layout.point_in_time,
                "retrieval": 2,
                "history": 2,
            }
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class RankerFeatures:
    """The inputs of a backbone, of B users with C candidates each.

    ``crossing_BCX`` crosses a candidate with the history and holds the item's counts; its columns are standardised.
    ``values_BH`` are standardised, 0 where unknown. ``items_BCF`` and ``history_items_BHF`` are item features without
    the counts; candidates and history are the encoder's item vectors.
    """

    user_BD: Tensor
    user_context_BU: Tensor
    candidates_BCD: Tensor
    items_BCF: Tensor
    crossing_BCX: Tensor
    history_BHD: Tensor
    history_items_BHF: Tensor
    values_BH: Tensor
    mask_BH: Tensor


class Backbone(nn.Module, ABC):
    """A network from features to hidden units of each candidate, from which the objectives are predicted.

    The hidden units of a candidate never depend on the other candidates. A subclass is a file of its own.
    """

    config: ClassVar[type[RankerConfig]]
    """The recipe section of this ranker: its constructor takes one and a RankerDataSpec."""
    width: int
    """M, the number of hidden units."""

    @abstractmethod
    def forward(self, features: RankerFeatures) -> Tensor:
        """Hidden units ``[B, C, M]``."""
