"""User, history and candidates → one column for each goal."""

import torch
from torch import Tensor, nn

from trainer.models.rankers.base import Body, GoalScale, RankerSizes, View, width_of
from trainer.models.rankers.view import Viewer


class Ranker(nn.Module):
    """Towers of the goals, on top of the dot product and a linear part: they learn what those two leave unsaid.

    Of a goal that is an event its column is log-odds, of one that is a value the value in its own unit.
    """

    def __init__(self, towers: nn.Module, sizes: RankerSizes) -> None:
        super().__init__()
        self.sizes, goals = sizes, sizes.goals
        self.viewer, self.towers = Viewer(sizes), towers
        self.linear = nn.Linear(width_of(sizes.crossing), len(goals), bias=False)
        nn.init.zeros_(self.linear.weight)
        self.dot_G = nn.Parameter(torch.tensor([float(sizes.of_lists and not goal.is_value) for goal in goals]))
        self.scale_G: Tensor
        self.shift_G: Tensor
        self.register_buffer("scale_G", torch.tensor([goal.std for goal in goals]))
        self.register_buffer("shift_G", torch.tensor([goal.mean for goal in goals]))

    def forward(
        self,
        user_vectors: Tensor,
        user_features: Tensor,
        context: Tensor,
        history_vectors: Tensor,
        history_features: Tensor,
        history_values: Tensor,
        history_mask: Tensor,
        candidate_vectors: Tensor,
        candidate_features: Tensor,
        candidate_transitions: Tensor,
        candidate_scores: Tensor,
        candidate_places: Tensor,
    ) -> Tensor:
        """Columns ``[B, C, G]``. Arguments are ``[B, D]``, ``[B, U]``, ``[B, K]``, ``[B, H, D]``, ``[B, H, F]``,
        ``[B, H]``, ``[B, H]``, ``[B, C, D]``, ``[B, C, F]``, ``[B, C, X]``, ``[B, C]``, ``[B, C]``."""
        view = self.viewer(
            {
                "user_vectors": user_vectors,
                "user_features": user_features,
                "context": context,
                "history_vectors": history_vectors,
                "history_features": history_features,
                "history_values": history_values,
                "history_mask": history_mask,
                "candidate_vectors": candidate_vectors,
                "candidate_features": candidate_features,
                "candidate_transitions": candidate_transitions,
                "candidate_scores": candidate_scores,
                "candidate_places": candidate_places,
            }
        )
        simple_BCG = self.dot_G * candidate_scores[..., None] + self.linear(view.features_BCX)
        columns_BCG: Tensor = (simple_BCG + self.towers(view)) * self.scale_G + self.shift_G
        return columns_BCG

    def scale_by(self, inputs: dict[str, Tensor]) -> None:
        """Takes the scales of the inputs from a sample of the training data, before the first step."""
        self.viewer.scale_by(inputs)

    @torch.no_grad()
    def calibrate(self, slopes: Tensor, shifts: Tensor) -> None:
        """From now on a column is its ``slopes[g]`` times what it was, plus ``shifts[g]`` (Platt, 1999)."""
        self.scale_G.mul_(slopes)
        self.shift_G.mul_(slopes).add_(shifts)

    def goal(self, name: str) -> int | None:
        """The column of a goal."""
        return next((place for place, goal in enumerate(self.sizes.goals) if goal.name == name), None)


class SharedBody(nn.Module):
    """Towers that are one linear layer each, on one body."""

    def __init__(self, body: Body, goals: tuple[GoalScale, ...]) -> None:
        super().__init__()
        self.body, self.out = body, nn.Linear(body.width, len(goals))
        nn.init.zeros_(self.out.weight)

    def forward(self, view: View) -> Tensor:
        """``[B, C, G]``."""
        columns_BCG: Tensor = self.out(self.body(view))
        return columns_BCG
