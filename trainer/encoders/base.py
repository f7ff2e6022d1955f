"""The one shape that every encoder has."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

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


class SequenceEncoder(Encoder):
    """An encoder that learns from every place of a history what comes next; it reads what is searched."""

    @abstractmethod
    def item_tables(self) -> list[nn.Parameter]:
        """The weights with a row for each item, ``[N, ...]``.

        Their gradients must be sparse (``sparse=True`` of ``torch.nn.functional.embedding``) when
        :meth:`item_vectors` is given rows.
        """

    @abstractmethod
    def states(self, vectors_BLD: Tensor, values_BL: Tensor, events_BL: Tensor, mask_BL: Tensor) -> Tensor:
        """What is known of the user after each interaction, ``[B, L, D]``; a place never looks to its right."""

    def last_state(self, vectors_BLD: Tensor, values_BL: Tensor, events_BL: Tensor, mask_BL: Tensor) -> Tensor:
        """The state after the latest interaction, ``[B, D]``: all that serving asks for, and often far less work."""
        return self.states(vectors_BLD, values_BL, events_BL, mask_BL)[:, -1]

    @abstractmethod
    def queries(self, states: Tensor, liked: Tensor) -> Tensor:
        """From states ``[..., D]`` to vectors for the next item, given whether it will be liked (bool ``[...]``)."""

    def forward(
        self, history_vectors: Tensor, history_values: Tensor, history_events: Tensor, history_mask: Tensor
    ) -> Tensor:
        """See :class:`Encoder`."""
        last_BD = self.last_state(history_vectors, history_values, history_events, history_mask)
        return self.queries(last_BD, last_BD.new_ones(last_BD.shape[:-1]).bool())
