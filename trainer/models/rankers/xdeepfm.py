"""Fields crossed number by number, layer upon layer, beside an MLP (xDeepFM: Lian et al., 2018, arXiv:1803.05170).

A map of the compressed interaction network is x_h = Σ_ij W_hij x'_i ∘ f_j, of the maps x' before it and the fields f.
Here W_h has rank one, the smallest of the paper's decomposition (section 3.3): x_h = (Σ_i u_hi x'_i) ∘ (Σ_j v_hj f_j).
A sum of such maps equals a map of higher rank.
"""

import torch
from torch import Tensor, nn

from trainer.models.rankers.base import Backbone, RankerDataSpec, RankerFeatures
from trainer.models.rankers.fields import Fields, FieldVectors, Mlp
from trainer.recipe.rankers import XDeepFmConfig


class XDeepFm(Backbone):
    """The sums of K maps of each layer, and an MLP over the fields."""

    config = XDeepFmConfig

    def __init__(self, config: XDeepFmConfig, spec: RankerDataSpec) -> None:
        super().__init__()
        self.fields = Fields(config, spec)
        count, maps = self.fields.total // self.fields.width, config.slices
        before = [count, *[maps] * (config.layers - 1)]
        self.of_maps = nn.ModuleList(nn.Linear(width, maps, bias=False) for width in before)
        self.of_fields = nn.ModuleList(nn.Linear(count, maps, bias=False) for _ in before)
        self.deep = Mlp(config, self.fields)
        self.width = config.hidden + config.layers * maps

    def forward(self, features: RankerFeatures) -> Tensor:
        """See :class:`Backbone`."""
        fields: FieldVectors = self.fields(features)
        return torch.cat([self.deep(fields), *self.crossed(fields.together())], dim=-1)

    def crossed(self, fields_BCY: Tensor) -> list[Tensor]:
        """The sums of each layer's maps, ``[B, C, K]``."""
        fields_BCEN = fields_BCY.view(*fields_BCY.shape[:2], -1, self.fields.width).transpose(-1, -2)
        sums, maps_BCEK = [], fields_BCEN
        for of_maps, of_fields in zip(self.of_maps, self.of_fields, strict=True):
            maps_BCEK = of_maps(maps_BCEK) * of_fields(fields_BCEN)
            sums.append(maps_BCEK.sum(-2))
        return sums
