"""User, history and candidates → the logits of each objective."""

import torch
from torch import Tensor, nn

from trainer.features.layout import width_of
from trainer.models.rankers.base import Backbone, RankerDataSpec, RankerFeatures
from trainer.models.rankers.feature_transform import FeatureTransform
from trainer.models.rankers.objectives import Objectives


class Ranker(nn.Module):
    """Towers of the objectives, added to the inner product and to a linear part, whose residual they learn.

    The output of an event is its log-odds, the output of a value the value in its own unit. Both are called logits.
    """

    def __init__(self, towers: nn.Module, spec: RankerDataSpec) -> None:
        super().__init__()
        self.spec, objectives = spec, spec.objectives
        self.transform, self.towers = FeatureTransform(spec), towers
        self.linear = nn.Linear(width_of(spec.crossing), len(objectives), bias=False)
        nn.init.zeros_(self.linear.weight)
        self.dot_G = nn.Parameter(
            torch.tensor([float(spec.of_lists and not objective.is_value) for objective in objectives])
        )
        self.scale_G: Tensor
        self.shift_G: Tensor
        self.register_buffer("scale_G", torch.tensor([objective.std for objective in objectives]))
        self.register_buffer("shift_G", torch.tensor([objective.mean for objective in objectives]))

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
        candidate_item_item: Tensor,
        candidate_scores: Tensor,
        candidate_places: Tensor,
    ) -> Tensor:
        """Logits ``[B, C, G]``. Arguments are ``[B, D]``, ``[B, U]``, ``[B, K]``, ``[B, H, D]``, ``[B, H, F]``,
        ``[B, H]``, ``[B, H]``, ``[B, C, D]``, ``[B, C, F]``, ``[B, C, X]``, ``[B, C]``, ``[B, C]``."""
        features = self.transform(
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
                "candidate_item_item": candidate_item_item,
                "candidate_scores": candidate_scores,
                "candidate_places": candidate_places,
            }
        )
        simple_BCG = self.dot_G * candidate_scores[..., None] + self.linear(features.crossing_BCX)
        logits_BCG: Tensor = (simple_BCG + self.towers(features)) * self.scale_G + self.shift_G
        return logits_BCG

    def scale_by(self, inputs: dict[str, Tensor]) -> None:
        """Sets the scales of the inputs from a sample of the training data, before the first step."""
        self.transform.scale_by(inputs)

    @torch.no_grad()
    def calibrate(self, slopes: Tensor, shifts: Tensor) -> None:
        """Scales the logits of objective g by ``slopes[g]`` and adds ``shifts[g]`` (Platt, 1999)."""
        self.scale_G.mul_(slopes)
        self.shift_G.mul_(slopes).add_(shifts)


class SharedBackbone(nn.Module):
    """Towers that are one linear layer each, on one backbone."""

    def __init__(self, backbone: Backbone, objectives: Objectives) -> None:
        super().__init__()
        self.backbone, self.out = backbone, nn.Linear(backbone.width, len(objectives))
        nn.init.zeros_(self.out.weight)

    def forward(self, features: RankerFeatures) -> Tensor:
        """``[B, C, G]``."""
        logits_BCG: Tensor = self.out(self.backbone(features))
        return logits_BCG
