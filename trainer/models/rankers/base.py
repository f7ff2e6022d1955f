"""The one shape that every ranker has, and what a new one has to fill in.

Legend of shapes, here and in the other files: B users, H interactions (latest first, padded at the end), C candidates,
D vector components, F item features, U what is known of the user and of the request, X crossing features, G objectives,
M hidden units.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from shortlist.bundle.item_item import COOCCURRENCE, SLIM
from trainer.models.rankers.crossing import ID_EMBEDDING_FEATURES, MATCH_FEATURES, SIMILARITY_FEATURES

FeatureGroups = Mapping[str, slice]
COUNTS, KNOWN, CLICK_RATES, ID_EMBEDDINGS = "its counts", "is known", "click-through rates", "id embeddings"
"""Names of columns that no table has: what is counted of an item comes first; that a user is no stranger, what is
counted of them, and what the ranker learns of each row by itself, last."""


@dataclass(frozen=True, kw_only=True)
class ObjectiveScale:
    """An objective as the ranker predicts it: the log-odds of an event, or a value of this mean and spread."""

    name: str
    is_value: bool = False
    mean: float = 0.0
    std: float = 1.0


@dataclass(frozen=True, kw_only=True, eq=False)
class RankerDataSpec:
    """What a ranker has to know of the data.

    ``user_columns``, ``item_columns`` and ``context_columns`` say by name which columns of an input belong together.
    ``content`` ``[F]`` says which item features are categories. ``vector_scale`` is the mean length of an item vector,
    ``value_mean`` and ``value_std`` are of the values of a history. It learns from lists ``of_lists`` that retrieval
    made, or from single items, whose inner product and place in such a list then have nothing to say at first.
    """

    dimension: int
    user_columns: FeatureGroups
    item_columns: FeatureGroups
    context_columns: FeatureGroups
    content: NDArray[np.bool_]
    vector_scale: float
    value_mean: float
    value_std: float
    objectives: tuple[ObjectiveScale, ...]
    of_lists: bool = True

    @property
    def user_context(self) -> FeatureGroups:
        """What is known of the user and of the request, U: the user features, then the context."""
        known = width_of(self.user_columns)
        context = {
            f"request: {name}": slice(part.start + known, part.stop + known)
            for name, part in self.context_columns.items()
        }
        return {**self.user_columns, **context}

    @property
    def counted(self) -> int:
        """How many item features are counted."""
        return width_of({COUNTS: self.item_columns.get(COUNTS, slice(0, 0))})

    @property
    def items(self) -> FeatureGroups:
        """The item features without the counted, as a view has them."""
        others = {name: part for name, part in self.item_columns.items() if name != COUNTS}
        return {name: slice(part.start - self.counted, part.stop - self.counted) for name, part in others.items()}

    @property
    def crossing(self) -> FeatureGroups:
        """The crossing features X of a view."""
        return named(
            {
                "cooccurrence": COOCCURRENCE.stop - COOCCURRENCE.start,
                "slim": SLIM.stop - SLIM.start,
                "similarity": SIMILARITY_FEATURES,
                "match": MATCH_FEATURES,
                ID_EMBEDDINGS: ID_EMBEDDING_FEATURES if ID_EMBEDDINGS in self.item_columns else 0,
                COUNTS: self.counted,
                "retrieval": 2,
                "history": 2,
            }
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class RankerFeatures:
    """What a backbone is given, of B users with C candidates each.

    ``crossing_BCX`` crosses a candidate with the history, and has the item's counts; its columns are standardised.
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
    """A network from a view to hidden units of each candidate, from which the objectives are predicted.

    A candidate's never depend on the other candidates. A subclass is a file of its own.
    """

    width: int
    """M, how many it gives."""

    @abstractmethod
    def forward(self, features: RankerFeatures) -> Tensor:
        """Hidden units ``[B, C, M]``."""


def named(widths: Mapping[str, int]) -> FeatureGroups:
    """FeatureGroups one group behind the other; a group without any is left out."""
    ends = np.cumsum(list(widths.values())).tolist()
    return {name: slice(end - width, end) for (name, width), end in zip(widths.items(), ends, strict=True) if width}


def width_of(columns: FeatureGroups) -> int:
    """How many columns there are."""
    return max((part.stop for part in columns.values()), default=0)
