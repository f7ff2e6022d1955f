"""A mixture of experts with a gate for each objective (Ma et al., 2018, doi 10.1145/3219819.3220007).

Objectives that need different hidden units take them from different experts, where a single backbone has to serve all.
With more experts than objectives, each objective has one expert of its own and shares the rest. Frequent objectives
then do not shape every expert of a rare one (Tang et al., 2020, doi 10.1145/3383313.3412236).
"""

import torch
from torch import Tensor, nn

from trainer.features.layout import width_of
from trainer.models.rankers.base import Backbone, RankerDataSpec, RankerFeatures

# The initial lead of an objective's own expert over each shared one, in log-odds: shared experts have to earn weight.
_AHEAD = 2.0


class MixtureOfExperts(nn.Module):
    """K experts, each a backbone; for each objective a softmax over them, and a tower on the mixture it gives.

    Legend: K experts, G objectives.
    """

    def __init__(self, experts: list[Backbone], spec: RankerDataSpec) -> None:
        super().__init__()
        self.experts, self.vector_scale = nn.ModuleList(experts), spec.vector_scale
        count, objectives, width = len(experts), len(spec.objectives), experts[0].width
        self.shape = (objectives, count)
        own_GK = _id_embeddings(objectives, count)
        self.closed_GK: Tensor
        self.register_buffer("closed_GK", own_GK.any(0) & ~own_GK)
        self.gate_of_user = nn.Linear(spec.dimension + width_of(spec.user_context), objectives * count)
        with torch.no_grad():
            self.gate_of_user.bias.view(self.shape).add_(_AHEAD * own_GK)
        self.gate_of_candidate = nn.Linear(spec.dimension + width_of(spec.crossing), objectives * count, bias=False)
        self.towers = nn.ModuleList(_tower(width) for _ in range(objectives))

    def forward(self, features: RankerFeatures) -> Tensor:
        """``[B, C, G]``."""
        experts_BCKM = torch.stack([expert(features) for expert in self.experts], dim=2)
        mixed_BCGM = self.gates(features) @ experts_BCKM
        return torch.cat([tower(mixed_BCGM[:, :, objective]) for objective, tower in enumerate(self.towers)], dim=-1)

    def gates(self, features: RankerFeatures) -> Tensor:
        """The weight of each expert in each objective, ``[B, C, G, K]``.

        The weights of an objective sum to one. They are zero for experts that belong to another objective.
        """
        of_user_BY = self.gate_of_user(torch.cat([features.user_BD, features.user_context_BU], dim=-1))
        candidates_BCY = torch.cat([features.candidates_BCD / self.vector_scale, features.crossing_BCX], dim=-1)
        logits_BCY = self.gate_of_candidate(candidates_BCY) + of_user_BY[:, None]
        logits_BCGK = logits_BCY.unflatten(-1, self.shape).masked_fill(self.closed_GK, -torch.inf)
        gates_BCGK: Tensor = logits_BCGK.softmax(-1)
        return gates_BCGK


def _id_embeddings(objectives: int, experts: int) -> Tensor:
    """Which expert is an objective's alone, ``[G, K]``: of the first one each, if any are left for all."""
    return torch.eye(objectives, experts, dtype=torch.bool) & torch.tensor(experts > objectives)


def _tower(width: int) -> nn.Sequential:
    last = nn.Linear(width, 1)
    nn.init.zeros_(last.weight)
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), last)
