"""The one shape that every ranker has."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True, eq=False)
class RankerSizes:
    """What a ranker has to know of the data.

    ``statistics`` ``[F]`` and ``content`` ``[F]`` say which item features are counts and the like, and which are
    categories. ``vector_scale`` is the mean length of an item vector. ``heads`` are the columns of the output.
    """

    dimension: int
    user_features: int
    statistics: NDArray[np.bool_]
    content: NDArray[np.bool_]
    vector_scale: float
    value_mean: float
    value_std: float
    heads: tuple[str, ...]


class Ranker(nn.Module, ABC):
    """User and candidates → one column of scores for each head; the first head makes the order.

    A candidate's scores never depend on the other candidates. Legend of shapes: B users, H interactions (latest first,
    padded at the end), C candidates, D vector components, F item features, U user features, X transition features.
    """

    sizes: RankerSizes

    @abstractmethod
    def forward(
        self,
        user_vectors: Tensor,
        user_features: Tensor,
        history_vectors: Tensor,
        history_features: Tensor,
        history_values: Tensor,
        history_mask: Tensor,
        candidate_vectors: Tensor,
        candidate_features: Tensor,
        candidate_transitions: Tensor,
        candidate_scores: Tensor,
        candidate_places: Tensor,
    ) -> Tensor:
        """Scores ``[B, C, heads]``. Arguments are ``[B, D]``, ``[B, U]``, ``[B, H, D]``, ``[B, H, F]``, ``[B, H]``,
        ``[B, H]``, ``[B, C, D]``, ``[B, C, F]``, ``[B, C, X]``, ``[B, C]``, ``[B, C]``."""

    @abstractmethod
    def calibrate(self, inputs: dict[str, Tensor]) -> None:
        """Sets the scales of the inputs from a sample of the training data, before the first step."""
