"""The trained encoder over the data set's rows, in PyTorch: the offline twin of retrieval."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from shortlist.bundle.history import History
from shortlist.inference.model_inputs import encoder_inputs
from trainer.evaluation.queries import Profiles
from trainer.models.encoders import Encoder


@dataclass(frozen=True, kw_only=True, eq=False)
class Encoded:
    """An encoder in evaluation mode, and its item vectors.

    Retrieval searches ``vectors`` ``[items, dimension]``. The encoder reads a history as its items' ``inputs``
    ``[items, width]``, most often the same array.
    """

    encoder: Encoder
    length: int
    vectors: NDArray[np.float32]
    inputs: NDArray[np.float32]

    @classmethod
    @torch.no_grad()
    def of(cls, encoder: Encoder, length: int) -> Self:
        """Computes the item vectors once."""
        vectors, inputs = encoder.item_vectors(), encoder.item_inputs()
        array = vectors.numpy()
        return cls(encoder=encoder, length=length, vectors=array, inputs=array if inputs is None else inputs.numpy())

    @torch.no_grad()
    def user_vectors(self, histories: Sequence[History], features: NDArray[np.float32]) -> NDArray[np.float32]:
        """One vector for each history and its user's features: ``[histories, dimension]``.

        ``features`` ``[histories, UF]`` are the user columns that the encoder reads:
        :attr:`trainer.features.layout.FeatureLayout.encoder_users`.
        """
        inputs = encoder_inputs(self.inputs, histories, self.length, features)
        tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in inputs.items()}
        vectors: NDArray[np.float32] = self.encoder(**tensors).numpy()
        return vectors

    def scores(self, profiles: Profiles) -> NDArray[np.float32]:
        """Inner products with every item, ``[B, items]``."""
        return self.user_vectors(profiles.histories, profiles.features) @ self.vectors.T
