"""The one shape that every encoder has."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from trainer.recipe import Encoder as EncoderRecipe


@dataclass(frozen=True, kw_only=True, eq=False)
class EncoderSizes:
    """What an encoder has to know of the data.

    ``item_features`` ``[N, F]`` describe the items; ``value_edges`` ascend and cut values into buckets; ``events``
    is how many kinds of event there are.
    """

    items: int
    item_features: NDArray[np.float32]
    value_edges: NDArray[np.float32]
    events: int


class Encoder(nn.Module, ABC):
    """History → user vector, item → vector, such that their inner product is high for what comes next.

    Legend of shapes: B users, L interactions (oldest first, padded on the left), D components, N items.
    """

    tuned: ClassVar[tuple[str, ...]]
    """The keys of [encoder] that a search for better settings tries; what of each stands beside it in the recipe."""

    def __init__(self, recipe: EncoderRecipe, sizes: EncoderSizes) -> None:
        super().__init__()

    @abstractmethod
    def item_vectors(self, rows: Tensor | None = None) -> Tensor:
        """What is searched: all items, ``[N, D]``, or those of the rows ``[M]``: ``[M, D]``."""

    def item_inputs(self) -> Tensor | None:
        """What a history is read as, ``[N, I]``: these rows become ``history_vectors``; None for the item vectors."""
        return None

    @abstractmethod
    def forward(
        self, history_vectors: Tensor, history_values: Tensor, history_events: Tensor, history_mask: Tensor
    ) -> Tensor:
        """The user vector ``[B, D]`` that serving searches with: for the next item that will be liked."""
