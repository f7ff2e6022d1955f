"""A mixture of experts with a gate for each goal (Ma et al., 2018, doi 10.1145/3219819.3220007).

Goals that want different things of the hidden units take them from different experts, where one body has to please all.
Where there are more experts than goals, each goal has one of them to itself and shares the rest, so that a rare goal
is not learnt by experts that a frequent one shapes (Tang et al., 2020, doi 10.1145/3383313.3412236).
"""

import torch
from torch import Tensor, nn

from trainer.models.rankers.base import Body, RankerSizes, View, width_of

# A goal's own expert is ahead of each shared one by so much log-odds at first: what it shares, it has to gain by.
_AHEAD = 2.0


class MixtureOfExperts(nn.Module):
    """K experts, each a body; for each goal a softmax over them, and a tower on the mixture it gives.

    Legend: K experts, G goals.
    """

    def __init__(self, experts: list[Body], sizes: RankerSizes) -> None:
        super().__init__()
        self.experts, self.vector_scale = nn.ModuleList(experts), sizes.vector_scale
        count, goals, width = len(experts), len(sizes.goals), experts[0].width
        self.shape = (goals, count)
        own_GK = _own(goals, count)
        self.closed_GK: Tensor
        self.register_buffer("closed_GK", own_GK.any(0) & ~own_GK)
        self.gate_of_user = nn.Linear(sizes.dimension + width_of(sizes.about), goals * count)
        with torch.no_grad():
            self.gate_of_user.bias.view(self.shape).add_(_AHEAD * own_GK)
        self.gate_of_candidate = nn.Linear(sizes.dimension + width_of(sizes.crossing), goals * count, bias=False)
        self.towers = nn.ModuleList(_tower(width) for _ in range(goals))

    def forward(self, view: View) -> Tensor:
        """``[B, C, G]``."""
        experts_BCKM = torch.stack([expert(view) for expert in self.experts], dim=2)
        mixed_BCGM = self.gates(view) @ experts_BCKM
        return torch.cat([tower(mixed_BCGM[:, :, goal]) for goal, tower in enumerate(self.towers)], dim=-1)

    def gates(self, view: View) -> Tensor:
        """How much of each expert a goal takes, ``[B, C, G, K]``: over the experts they sum to one, and are zero of
        those that belong to another goal."""
        of_user_BY = self.gate_of_user(torch.cat([view.user_BD, view.about_BU], dim=-1))
        candidates_BCY = torch.cat([view.candidates_BCD / self.vector_scale, view.features_BCX], dim=-1)
        logits_BCY = self.gate_of_candidate(candidates_BCY) + of_user_BY[:, None]
        logits_BCGK = logits_BCY.unflatten(-1, self.shape).masked_fill(self.closed_GK, -torch.inf)
        gates_BCGK: Tensor = logits_BCGK.softmax(-1)
        return gates_BCGK


def _own(goals: int, experts: int) -> Tensor:
    """Which expert is a goal's alone, ``[G, K]``: of the first one each, if any are left for all."""
    return torch.eye(goals, experts, dtype=torch.bool) & torch.tensor(experts > goals)


def _tower(width: int) -> nn.Sequential:
    last = nn.Linear(width, 1)
    nn.init.zeros_(last.weight)
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), last)
