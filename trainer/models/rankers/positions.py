"""What the place in a list adds to the chance of an event, whatever was shown there."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainer.data.impressions import PLACE_GROUPS, place_groups
from trainer.models.rankers.base import ObjectiveScale


class PositionTerms(nn.Module):
    """A term for each group of places and each objective, learnt beside the ranker and left out when it serves.

    The shallow tower of Zhao et al., 2019 (RecSys, "Recommending what video to watch next"). The terms of what was
    shown are 0 on average, so that the ranker's own log-odds are those of the average place.
    """

    def __init__(self, positions: NDArray[np.int64], objectives: tuple[ObjectiveScale, ...]) -> None:
        super().__init__()
        groups = place_groups(positions)
        self.terms = nn.Embedding(PLACE_GROUPS, len(objectives))
        nn.init.zeros_(self.terms.weight)
        shown = np.bincount(groups, minlength=PLACE_GROUPS) * (np.arange(PLACE_GROUPS) > 0)
        self.shares = torch.from_numpy((shown / max(shown.sum(), 1)).astype(np.float32))
        self.is_event = torch.tensor([not objective.is_value for objective in objectives], dtype=torch.float32)

    def forward(self, positions: NDArray[np.int64]) -> Tensor:
        """``[n, G]``; 0 for values, and where the position is -1."""
        groups = torch.from_numpy(place_groups(positions))
        terms = self.terms(groups) - self.shares @ self.terms.weight
        found: Tensor = terms * (groups > 0)[:, None] * self.is_event
        return found
