"""The one shape that every encoder has."""

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
    """What an encoder has to know of the data.

    ``item_features`` ``[N, F]`` describe the items, and ``learnt`` ``[N]`` are those with an event to learn from;
    ``user_features`` is how many numbers describe a user, 0 when there are none; ``value_edges`` ascend and cut values
    into buckets; ``events`` is how many kinds of event there are.
    """

    items: int
    item_features: NDArray[np.float32]
    learnt: NDArray[np.bool_]
    user_features: int
    value_edges: NDArray[np.float32]
    events: int


class Encoder(nn.Module, ABC):
    """History → user vector, item → vector, such that their inner product is high for what comes next.

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
        """What is searched: all items, ``[N, D]``, or those of the rows ``[M]``: ``[M, D]``."""

    def item_inputs(self) -> Tensor | None:
        """What a history is read as, ``[N, I]``: these rows become ``history_vectors``; None for the item vectors."""
        return None

    @abstractmethod
    def of_history(
        self, history_vectors: Tensor, history_values: Tensor, history_events: Tensor, history_mask: Tensor
    ) -> Tensor:
        """What the history says of the next item that will be liked, ``[B, D]``; anything finite for an empty one."""

    def with_features(self, vectors_BD: Tensor, known_B1: Tensor, features_BU: Tensor | None) -> Tensor:
        """Vectors of histories, zeros where there is none known (bool), plus what the users' features say."""
        vectors_BD = torch.where(known_B1, vectors_BD, 0.0)
        if self.by_features is None or features_BU is None:
            return vectors_BD
        said_BD: Tensor = self.by_features(features_BU)
        return vectors_BD + said_BD

    def forward(
        self,
        history_vectors: Tensor,
        history_values: Tensor,
        history_events: Tensor,
        history_mask: Tensor,
        user_features: Tensor | None = None,
    ) -> Tensor:
        """The user vector ``[B, D]`` that serving searches with: for the next item that will be liked.

        ``user_features`` ``[B, U]`` are zeros for a stranger, and not looked at by an encoder without ``by_features``.
        """
        vectors_BD = self.of_history(history_vectors, history_values, history_events, history_mask)
        return self.with_features(vectors_BD, history_mask.amax(dim=1, keepdim=True) > 0, user_features)
