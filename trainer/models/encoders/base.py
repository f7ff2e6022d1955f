"""The interface of encoders."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainer.recipe.models import EncoderConfig

_FEATURES_STD = 0.02


@dataclass(frozen=True, kw_only=True, eq=False)
class EncoderDataSpec:
    """The properties of the data that the layers of an encoder depend on.

    ``item_features`` ``[N, F]`` describe the items, and ``learnt`` ``[N]`` marks those with an event to learn from.
    ``user_features`` is the number of features of a user, which may be 0. ``value_edges`` ascend and cut values into
    buckets. ``events`` is the number of kinds of events.
    """

    items: int
    item_features: NDArray[np.float32]
    learnt: NDArray[np.bool_]
    user_features: int
    value_edges: NDArray[np.float32]
    events: int


@dataclass(frozen=True, kw_only=True, eq=False)
class ItemContent:
    """The ``vectors`` ``[M, D]`` of M items by their features, and their ``inputs`` ``[M, I]`` in a history."""

    vectors: Tensor
    inputs: Tensor


class Encoder(nn.Module, ABC):
    """History → user vector, item → vector, such that their inner product is high for the next item.

    A user vector is that of the history, plus a linear map of the user features where the encoder ``reads_features``.

    Legend of shapes: B users, L interactions (oldest first, padded on the left), D components, N items, U features of a
    user.
    """

    config: ClassVar[type[EncoderConfig]]
    """The recipe section of this encoder: its constructor takes one and an EncoderDataSpec."""
    trained_by: ClassVar[str]
    """The name of its training in trainer.training.encoder."""

    def __init__(self, config: EncoderConfig, spec: EncoderDataSpec, *, reads_features: bool = False) -> None:
        super().__init__()
        reads = spec.user_features if reads_features else 0
        self.by_features = nn.Linear(reads, config.dimension, bias=False) if reads else None
        if self.by_features is not None:
            nn.init.normal_(self.by_features.weight, std=_FEATURES_STD)

    @abstractmethod
    def item_vectors(self, rows: Tensor | None = None) -> Tensor:
        """The vectors in the index: of all items, ``[N, D]``, or of the rows ``[M]``: ``[M, D]``."""

    def item_inputs(self) -> Tensor | None:
        """The input vectors of items in a history, ``[N, I]``; None where these are the item vectors."""
        return None

    def of_content(self, features_MF: Tensor) -> ItemContent | None:
        """Vectors of items that training has not seen, by their features; None where it reads no item features."""
        return None

    @abstractmethod
    def of_history(
        self, history_vectors: Tensor, history_values: Tensor, history_events: Tensor, history_mask: Tensor
    ) -> Tensor:
        """The vector of a history for the next liked item, ``[B, D]``; any finite vector for an empty history."""

    def with_features(self, vectors_BD: Tensor, known_B1: Tensor, features_BU: Tensor | None) -> Tensor:
        """Vectors of histories, zeros where none is known (``known_B1``, bool), plus those of the user features."""
        vectors_BD = torch.where(known_B1, vectors_BD, 0.0)
        if self.by_features is None or features_BU is None:
            return vectors_BD
        of_features_BD: Tensor = self.by_features(features_BU)
        return vectors_BD + of_features_BD

    def forward(
        self,
        history_vectors: Tensor,
        history_values: Tensor,
        history_events: Tensor,
        history_mask: Tensor,
        user_features: Tensor | None = None,
    ) -> Tensor:
        """The user vector ``[B, D]`` of serving, for the next liked item.

        ``user_features`` ``[B, U]`` are zeros for an unknown user. An encoder without ``by_features`` ignores them.
        """
        vectors_BD = self.of_history(history_vectors, history_values, history_events, history_mask)
        return self.with_features(vectors_BD, history_mask.amax(dim=1, keepdim=True) > 0, user_features)
