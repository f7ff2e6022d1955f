"""Position bias: the part of an event's log-odds that the position in the list explains."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainer.data.impressions import PLACE_GROUPS, place_groups
from trainer.models.rankers.objectives import Objectives


class PositionBias(nn.Module):
    """A bias for each group of positions and each objective, learnt beside the ranker and left out when it serves.

    The shallow tower of Zhao et al., 2019 (RecSys, "Recommending what video to watch next"). The biases of the
    impressions are 0 on average, so that the ranker predicts the log-odds at the average position.
    """

    def __init__(self, positions: NDArray[np.int64], objectives: Objectives) -> None:
        super().__init__()
        groups = place_groups(positions)
        self.biases = nn.Embedding(PLACE_GROUPS, len(objectives))
        nn.init.zeros_(self.biases.weight)
        counts = np.bincount(groups, minlength=PLACE_GROUPS) * (np.arange(PLACE_GROUPS) > 0)
        self.shares = torch.from_numpy((counts / max(counts.sum(), 1)).astype(np.float32))
        self.is_event = torch.tensor([not objective.is_value for objective in objectives], dtype=torch.float32)

    def forward(self, positions: NDArray[np.int64]) -> Tensor:
        """``[n, G]``; 0 for values, and where the position is -1."""
        groups = torch.from_numpy(place_groups(positions))
        biases = self.biases(groups) - self.shares @ self.biases.weight
        found: Tensor = biases * (groups > 0)[:, None] * self.is_event
        return found
