"""The neural tensor network (Socher et al., 2013) with an MLP.

h_k = e_uᵀ T_k e_i for K slices, then an MLP over [e_u, e_i, h] and the features.

The first layer W_u e_u + W_i e_i + W_h h equals (W_i + W_h (e_uᵀT)) e_i + W_u e_u. So there is one matrix for each
user, then one product with the candidates. A candidate costs no more than in a layer without the tensor.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainer.features.layout import width_of
from trainer.models.rankers.base import Backbone, RankerDataSpec, RankerFeatures
from trainer.recipe.rankers import NtnMlpConfig

_LAST_HIDDEN = 32


class NtnMlp(Backbone):
    """Tensor interaction + MLP; K slices."""

    width = _LAST_HIDDEN

    config = NtnMlpConfig

    def __init__(self, config: NtnMlpConfig, spec: RankerDataSpec) -> None:
        super().__init__()
        self.spec, hidden = spec, config.hidden
        width, others = spec.dimension, width_of(spec.crossing) + width_of(spec.items)
        self.tensor_KDD = nn.Parameter(torch.randn(config.slices, width, width) * 0.02)
        self.from_user, self.from_item = nn.Linear(width, hidden), nn.Linear(width, hidden, bias=False)
        self.from_tensor = nn.Linear(config.slices, hidden, bias=False)
        self.from_features = nn.Linear(others, hidden, bias=False)
        self.from_user_context = nn.Linear(width_of(spec.user_context), hidden, bias=False)
        self.second = nn.Linear(hidden, _LAST_HIDDEN)
        self.dropout, self.user_dropout = nn.Dropout(config.dropout), nn.Dropout(config.user_dropout)

    def forward(self, features: RankerFeatures) -> Tensor:
        """See :class:`Backbone`."""
        first_BCM = self.first_layer(features)
        hidden_BCM: Tensor = self.dropout(F.relu(self.second(self.dropout(F.relu(first_BCM)))))
        return hidden_BCM

    def first_layer(self, features: RankerFeatures) -> Tensor:
        """``[B, C, M]``: the candidate times the user's own matrix, plus its features times a common one."""
        user_BD = self.user_dropout(features.user_BD)
        slices, width, _ = self.tensor_KDD.shape
        slices_BKD: Tensor = (user_BD @ self.tensor_KDD.transpose(0, 1).reshape(width, -1)).view(-1, slices, width)
        folded_BMD = (self.from_item.weight + self.from_tensor.weight @ slices_BKD) / self.spec.vector_scale
        of_user_BM = self.from_user(user_BD) + self.from_user_context(features.user_context_BU)
        candidates_BCM = self._candidates(features, folded_BMD)
        first_BCM: Tensor = candidates_BCM + of_user_BM[:, None]
        return first_BCM

    def _candidates(self, features: RankerFeatures, folded_BMD: Tensor) -> Tensor:
        others_BCY = torch.cat([features.crossing_BCX, features.items_BCF], dim=-1)
        if self.training:
            # A common matrix in one product for all users: its gradient is no sum over copies.
            products_BCM: Tensor = features.candidates_BCD @ folded_BMD.transpose(1, 2) + self.from_features(others_BCY)
            return products_BCM
        # A served user has one product instead of two.
        others_BMY = self.from_features.weight.expand(folded_BMD.shape[0], -1, -1)
        weights_BMY = torch.cat([folded_BMD, others_BMY], dim=-1)
        known_BCY = torch.cat([features.candidates_BCD, others_BCY], dim=-1)
        first_BCM: Tensor = known_BCY @ weights_BMY.transpose(1, 2)
        return first_BCM
