"""The ideal low-pass filter of GF-CF (Shen et al., 2021, arXiv:2108.07567): a singular value decomposition.

The items' smoothest directions over the normalised graph of users and items are its first right singular vectors V. A
history x is scored x D^-½ V Vᵀ D^½, with the items' degrees D. That is an inner product of a user and an item vector.
"""

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from trainer.features.svd import right_singular_vectors
from trainer.models.encoders.base import Encoder, EncoderDataSpec
from trainer.models.encoders.history import normalised
from trainer.recipe.encoders import GfcfConfig


class GfcfEncoder(Encoder):
    """Keeps as many directions as vectors have components. Several hundred are better than few."""

    config = GfcfConfig
    trained_by = "closed_form"

    def __init__(self, config: GfcfConfig, spec: EncoderDataSpec) -> None:
        # One decomposition gives all vectors: no gradient reaches weights of user features.
        super().__init__(config, spec)
        self.directions_ND: Tensor
        self.root_degree_N1: Tensor
        self.register_buffer("directions_ND", torch.zeros(spec.items, config.dimension))
        self.register_buffer("root_degree_N1", torch.ones(spec.items, 1))

    def item_vectors(self, rows: Tensor | None = None) -> Tensor:
        """See :class:`Encoder`."""
        vectors_ND = self.directions_ND * self.root_degree_N1
        return vectors_ND if rows is None else vectors_ND[rows]

    def item_inputs(self) -> Tensor:
        """See :class:`Encoder`."""
        return self.directions_ND / self.root_degree_N1

    def of_history(
        self, history_vectors: Tensor, history_values: Tensor, history_events: Tensor, history_mask: Tensor
    ) -> Tensor:
        """See :class:`Encoder`."""
        return (history_vectors * history_mask[..., None]).sum(dim=1)

    def solve(self, histories_UN: sparse.csr_array, random: np.random.Generator) -> float:
        """Finds the directions; returns the share of the graph's energy outside them."""
        edges_UN, self.root_degree_N1 = normalised(histories_UN)
        values, vectors = right_singular_vectors(edges_UN, self.directions_ND.shape[1], random)
        self.directions_ND.zero_()[:, : vectors.shape[1]] = torch.from_numpy(vectors)
        return float(1.0 - np.square(values).sum() / np.square(edges_UN.data).sum())
