"""Two MLPs over differently gated fields, and their products (FinalMLP: Mao et al., 2023, arXiv:2304.00902).

The gates of one stream come from the fields of the user, those of the other from the candidate's. The fusion of the
streams is linear in each and bilinear in both, in heads: o_1, o_2 and o_1ᵀ W_k o_2 of each head k.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainer.models.rankers.base import Backbone, RankerDataSpec, RankerFeatures
from trainer.models.rankers.fields import Fields, FieldVectors, Mlp, along_diagonal
from trainer.recipe.rankers import FinalMlpConfig


class FinalMlp(Backbone):
    """Two streams over gated fields; ``slices`` heads."""

    config = FinalMlpConfig

    def __init__(self, config: FinalMlpConfig, spec: RankerDataSpec) -> None:
        super().__init__()
        self.fields = Fields(config, spec)
        self.by_user = _Gate(self.fields.user_count, config, self.fields)
        self.by_candidate = _Gate(self.fields.candidate_count, config, self.fields)
        self.first, self.second = Mlp(config, self.fields), Mlp(config, self.fields)
        head = config.hidden // config.slices
        self.heads_KMM = nn.Parameter(torch.randn(config.slices, head, head) / head**0.5)
        self.width = 3 * config.hidden

    def forward(self, features: RankerFeatures) -> Tensor:
        """See :class:`Backbone`."""
        fields = self.fields(features)
        first_BCM = self.first(self.by_user(fields.user_B1Y, fields))
        second_BCM = self.second(self.by_candidate(fields.candidate_BCY, fields))
        return torch.cat([first_BCM, second_BCM, self.fused(first_BCM, second_BCM)], dim=-1)

    def fused(self, first_BCM: Tensor, second_BCM: Tensor) -> Tensor:
        """The terms ``[B, C, M]`` of each head's bilinear form, which the objectives weigh."""
        return first_BCM @ along_diagonal(self.heads_KMM) * second_BCM


class _Gate(nn.Module):
    """A weight from 0 to 2 for each number of each field."""

    def __init__(self, given: int, config: FinalMlpConfig, fields: Fields) -> None:
        super().__init__()
        self.given = nn.Linear(given * fields.width, config.hidden)
        self.user = nn.Linear(config.hidden, fields.user_count * fields.width)
        self.candidate = nn.Linear(config.hidden, fields.candidate_count * fields.width)

    def forward(self, given: Tensor, fields: FieldVectors) -> FieldVectors:
        """The fields, weighted by gates from the ``given`` ones."""
        hidden = F.relu(self.given(given))
        return FieldVectors(
            user_B1Y=2.0 * torch.sigmoid(self.user(hidden)) * fields.user_B1Y,
            candidate_BCY=2.0 * torch.sigmoid(self.candidate(hidden)) * fields.candidate_BCY,
        )
