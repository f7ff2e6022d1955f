"""GF-CF for items with interactions, and a ridge regression on content for items without (Hoerl and Kennard, 1970).

The regression predicts the item vectors of GF-CF from the item features. The vectors are the smoothest directions of
the graph of users and items, as in GF-CF, but each direction is weighted by its singular value. Scores are linear in
the vectors, so this equals the ridge regression of each user's filtered history on the features.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from trainer.features.svd import right_singular_vectors
from trainer.models.encoders.base import EncoderDataSpec, ItemContent
from trainer.models.encoders.gfcf import GfcfEncoder
from trainer.models.encoders.history import normalised
from trainer.recipe.encoders import ContentRidgeConfig


class ContentRidgeEncoder(GfcfEncoder):
    """Vectors from a filter of histories for items with interactions, and from content for the others."""

    config = ContentRidgeConfig

    def __init__(self, config: ContentRidgeConfig, spec: EncoderDataSpec) -> None:
        super().__init__(config, spec)
        self._regularisation = config.regularisation
        self._content_NF = _directions(spec.item_features)
        self.weights_FD: Tensor
        self.root_of_new: Tensor
        self.register_buffer("weights_FD", torch.zeros(self._content_NF.shape[1], config.dimension))
        self.register_buffer("root_of_new", torch.ones(1))

    def of_content(self, features_MF: Tensor) -> ItemContent:
        """See :class:`trainer.models.encoders.Encoder`. The prediction of the regression, at the mean degree."""
        lengths_M1 = torch.linalg.vector_norm(features_MF, dim=1, keepdim=True)
        vectors_MD = (features_MF / torch.where(lengths_M1 > 0, lengths_M1, 1.0)) @ self.weights_FD
        return ItemContent(vectors=vectors_MD, inputs=vectors_MD / self.root_of_new**2)

    def solve(self, histories_UN: sparse.csr_array, random: np.random.Generator) -> float:
        """Finds the directions, then the vectors of items without an interaction from their content.

        Returns the share of the variance of the other items' vectors that content leaves unexplained. An item without
        an interaction has the mean degree in a history.
        """
        edges_UN, root_degree_N1 = normalised(histories_UN)
        values, vectors = right_singular_vectors(edges_UN, self.directions_ND.shape[1], random)
        directions_ND = np.zeros(self.directions_ND.shape, dtype=np.float32)
        directions_ND[:, : vectors.shape[1]] = vectors * np.sqrt(values)
        roots_N1 = root_degree_N1.numpy()
        degree_N = histories_UN.sum(axis=0)
        learnt = degree_N > 0
        wanted_MD = directions_ND[learnt] * roots_N1[learnt]
        weights_FD = ridge(self._content_NF[learnt], wanted_MD, self._regularisation)
        self.root_of_new.fill_(float(np.sqrt(degree_N[learnt].mean())))
        self.weights_FD = torch.from_numpy(weights_FD)
        roots_N1[~learnt] = self.root_of_new.numpy()
        directions_ND[~learnt] = self._content_NF[~learnt] @ weights_FD / roots_N1[~learnt]
        self.directions_ND, self.root_degree_N1 = torch.from_numpy(directions_ND), torch.from_numpy(roots_N1)
        rest_MD = wanted_MD - self._content_NF[learnt] @ weights_FD
        return float(np.square(rest_MD).sum() / np.square(wanted_MD).sum())


def _directions(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of length one; zeros stay."""
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return np.asarray(features / np.where(lengths > 0, lengths, 1.0), dtype=np.float32)


def ridge(
    features_MF: NDArray[np.float32], wanted_MD: NDArray[np.float32], regularisation: float
) -> NDArray[np.float32]:
    """The weights ``[F, D]`` with the least mean squared error plus ``regularisation`` times their squared norm."""
    gram_FF = features_MF.T @ features_MF
    gram_FF.flat[:: len(gram_FF) + 1] += regularisation * len(features_MF)
    weights_FD: NDArray[np.float32] = np.linalg.solve(gram_FF, features_MF.T @ wanted_MD)
    return weights_FD
