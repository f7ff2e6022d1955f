"""Views of a small catalogue in which only the history says which candidate is right, and backbones trained on them."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainer.features.layout import FeatureLayout, TableColumns, width_of
from trainer.models.rankers import RankerDataSpec, RankerFeatures
from trainer.models.rankers.objectives import Objectives
from trainer.models.registry import build_ranker
from trainer.recipe import ObjectiveConfig, RankerConfig

ITEMS, DIMENSION = 12, 16
PADDING = -1


def spec_of(objectives: Sequence[str] = ("like",)) -> RankerDataSpec:
    """Items without a feature; of users it is only known whether they are."""
    return RankerDataSpec(
        dimension=DIMENSION,
        layout=FeatureLayout(items=TableColumns(), users=TableColumns(), statistics=()),
        vector_scale=1.0,
        value_mean=0.0,
        value_std=1.0,
        objectives=Objectives.declared({name: ObjectiveConfig() for name in objectives}),
    )


def features_of(history_BH: Tensor, candidates_BC: Tensor, values_BH: Tensor | None = None) -> RankerFeatures:
    """Nothing is known but the items, by their rows, and how those of the history were valued.

    The entries at ``PADDING`` are junk, which a mask of zeros hides.
    """
    vectors_ND = F.normalize(torch.randn(ITEMS, DIMENSION, generator=torch.Generator().manual_seed(0)), dim=-1)
    users, count = candidates_BC.shape
    crossing = width_of(spec_of().crossing)
    return RankerFeatures(
        user_BD=torch.zeros(users, DIMENSION),
        user_context_BU=torch.ones(users, 1),
        candidates_BCD=vectors_ND[candidates_BC],
        items_BCF=torch.zeros(users, count, 0),
        crossing_BCX=torch.zeros(users, count, crossing),
        history_BHD=vectors_ND[history_BH],
        history_items_BHF=torch.zeros(*history_BH.shape, 0),
        values_BH=torch.zeros(history_BH.shape) if values_BH is None else values_BH,
        mask_BH=(history_BH != PADDING).float(),
    )


def trained(recipe: RankerConfig, features: RankerFeatures, targets_BCG: Tensor, steps: int) -> nn.Module:
    """The towers of a ranker that has learnt the right candidates, in evaluation mode."""
    torch.manual_seed(0)
    towers = build_ranker(recipe, spec_of([str(objective) for objective in range(targets_BCG.shape[-1])])).towers
    optimiser = torch.optim.AdamW(towers.parameters(), lr=0.01)
    for _ in range(steps):
        optimiser.zero_grad()
        F.binary_cross_entropy_with_logits(towers(features), targets_BCG).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return towers.eval()


@torch.no_grad()
def accuracy(towers: nn.Module, features: RankerFeatures, targets_BCG: Tensor) -> Tensor:
    """How often each objective's log-odds are on the right side of zero, ``[G]``."""
    right_BCG = (towers(features) > 0) == (targets_BCG > 0.5)
    found_G: Tensor = right_BCG.float().mean((0, 1))
    return found_G
