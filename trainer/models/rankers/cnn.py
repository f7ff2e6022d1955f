"""Convolutions over the last items (Caser: Tang and Wang, 2018, arXiv:1809.07426).

The last L events are an image of L rows and D columns. Horizontal filters cover all columns of a few events in a row;
their maximum over the places finds patterns anywhere. Vertical filters are weighted sums of the L events. Everything is
computed once for each user.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainer.models.rankers.base import RankerDataSpec
from trainer.models.rankers.history_backbone import HistoryBackbone
from trainer.recipe.rankers import CnnConfig

_LAST = 10
_HEIGHTS = (1, 2, 3, 4)
_HORIZONTAL, _VERTICAL = 16, 4


class Cnn(HistoryBackbone):
    """Horizontal filters of each height and vertical ones, then a layer. Legend: L places, N outputs of the filters."""

    config = CnnConfig

    def __init__(self, config: CnnConfig, spec: RankerDataSpec) -> None:
        super().__init__(config, spec)
        width = spec.dimension
        # Without biases a filter over padding gives 0, which never exceeds a maximum of rectified values.
        self.horizontal = nn.ModuleList(nn.Conv1d(width, _HORIZONTAL, height, bias=False) for height in _HEIGHTS)
        self.vertical = nn.Linear(_LAST, _VERTICAL, bias=False)
        self.out = nn.Linear(len(_HEIGHTS) * _HORIZONTAL + _VERTICAL * width, width)

    def interest(self, events_BHD: Tensor, items_BCD: Tensor, mask_BH: Tensor) -> Tensor:
        """See :class:`HistoryBackbone`."""
        image_BDL = image(events_BHD)
        patterns_BN = [F.relu(filters(image_BDL)).amax(-1) for filters in self.horizontal]
        sums_BN = self.vertical(image_BDL).flatten(1)
        interest_BD: Tensor = self.out(self.dropout(torch.cat([*patterns_BN, sums_BN], dim=-1)))
        return interest_BD[:, None]


def image(events_BHD: Tensor) -> Tensor:
    """The last L events ``[B, D, L]``, latest first; zeros where there are fewer."""
    padding_BLD = events_BHD.new_zeros(events_BHD.shape[0], _LAST, events_BHD.shape[2])
    return torch.cat([events_BHD, padding_BLD], dim=1)[:, :_LAST].transpose(1, 2)
