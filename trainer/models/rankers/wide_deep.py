"""A linear part that memorises pairs, and an MLP that generalises (Wide & Deep: Cheng et al., 2016, arXiv:1606.07792).

The pairs are the paper's cross-product transformations of user features with item features. Their weights are summed
over the user's columns first, so that a candidate costs no more than in a plain linear part.
"""

import torch
from torch import Tensor, nn

from trainer.features.layout import width_of
from trainer.models.rankers.base import Backbone, RankerDataSpec, RankerFeatures
from trainer.models.rankers.fields import Fields, Mlp
from trainer.recipe.rankers import WideDeepConfig


class WideDeep(Backbone):
    """An MLP over the fields, beside a weight for each pair of a column of the user's and one of the item's."""

    config = WideDeepConfig

    def __init__(self, config: WideDeepConfig, spec: RankerDataSpec) -> None:
        super().__init__()
        items, objectives = width_of(spec.items), len(spec.objectives)
        self.pairs_GUF = nn.Parameter(torch.zeros(objectives, width_of(spec.user_context), items))
        self.alone_G1F = nn.Parameter(torch.zeros(objectives, 1, items))
        self.fields = Fields(config, spec)
        self.deep = Mlp(config, self.fields)
        self.width = config.hidden + objectives

    def forward(self, features: RankerFeatures) -> Tensor:
        """See :class:`Backbone`."""
        return torch.cat([self.deep(self.fields(features)), self.wide(features)], dim=-1)

    def wide(self, features: RankerFeatures) -> Tensor:
        """The linear part of each objective ``[B, C, G]``; for an unknown user, that of the item's columns alone."""
        weights_GBF: Tensor = features.user_context_BU @ self.pairs_GUF + self.alone_G1F
        return features.items_BCF @ weights_GBF.permute(1, 2, 0)
