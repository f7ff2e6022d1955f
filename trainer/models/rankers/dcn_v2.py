"""Cross layers beside an MLP (DCN V2: Wang et al., 2021, arXiv:2008.13535), the parallel form.

x_{l+1} = x_0 ∘ (W x_l + b) + x_l over all numbers of all fields: layer l has products of up to l + 1 of them. W = U Vᵀ
has a low rank, ``hidden``; in the paper, a quarter of the width loses little.
"""

import torch
from torch import Tensor, nn

from trainer.models.rankers.base import Backbone, RankerDataSpec, RankerFeatures
from trainer.models.rankers.fields import Fields, Mlp
from trainer.recipe.rankers import DcnV2Config


class DcnV2(Backbone):
    """Cross layers and an MLP, side by side over the fields."""

    config = DcnV2Config

    def __init__(self, config: DcnV2Config, spec: RankerDataSpec) -> None:
        super().__init__()
        self.fields = Fields(config, spec)
        total, rank = self.fields.total, config.hidden
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(total, rank, bias=False), nn.Linear(rank, total)) for _ in range(config.layers)
        )
        self.deep = Mlp(config, self.fields)
        self.width = total + config.hidden

    def forward(self, features: RankerFeatures) -> Tensor:
        """See :class:`Backbone`."""
        fields = self.fields(features)
        return torch.cat([self.deep(fields), self.crossed(fields.together())], dim=-1)

    def crossed(self, fields_BCY: Tensor) -> Tensor:
        """``[B, C, Y]``, from the fields through all cross layers."""
        crossed_BCY = fields_BCY
        for layer in self.layers:
            crossed_BCY = fields_BCY * layer(crossed_BCY) + crossed_BCY
        return crossed_BCY
