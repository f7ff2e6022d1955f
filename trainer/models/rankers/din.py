"""The deep interest network (Zhou et al., 2018, arXiv:1706.06978): a candidate attends to similar events.

An MLP over [e, v, e ⊙ v] weighs each event e for a candidate v, and the interest is the sum of the weighted events. The
paper has no softmax either: many similar events in a history have a larger sum of weights than one.

The first layer W_e e + W_v v + W_p (e ⊙ v) equals W_e e + W_v v + (W_p diag(v)) e. The first product is computed
once for each event and the second once for each candidate. Only the last is computed for each pair.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from trainer.models.rankers.base import RankerDataSpec
from trainer.models.rankers.history_backbone import HistoryBackbone
from trainer.recipe.rankers import DinConfig

_UNITS = 16


class Din(HistoryBackbone):
    """Attention of the candidate over the events. Legend: A units of the attention's MLP."""

    config = DinConfig

    def __init__(self, config: DinConfig, spec: RankerDataSpec) -> None:
        super().__init__(config, spec)
        width = spec.dimension
        self.from_event, self.from_item = nn.Linear(width, _UNITS), nn.Linear(width, _UNITS, bias=False)
        self.from_pair = nn.Linear(width, _UNITS, bias=False)
        self.weight = nn.Linear(_UNITS, 1)

    def interest(self, events_BHD: Tensor, items_BCD: Tensor, mask_BH: Tensor) -> Tensor:
        """See :class:`HistoryBackbone`."""
        interest_BCD: Tensor = self.attention(events_BHD, items_BCD) @ events_BHD
        return interest_BCD

    def attention(self, events_BHD: Tensor, items_BCD: Tensor) -> Tensor:
        """The weight of each event for each candidate, ``[B, C, H]``; of padding any, for its event is zeros."""
        folded_BCAD = items_BCD[:, :, None] * self.from_pair.weight
        # One product for each user, where a broadcast one would be a small one for each candidate.
        pairs_BYH = folded_BCAD.flatten(1, 2) @ events_BHD.transpose(1, 2)
        of_event_BAH, of_item_BCA = self.from_event(events_BHD).transpose(1, 2), self.from_item(items_BCD)
        pairs_BCAH = pairs_BYH.reshape(*folded_BCAD.shape[:3], events_BHD.shape[1])
        units_BCAH = F.relu(pairs_BCAH + of_event_BAH[:, None] + of_item_BCA[..., None])
        weights_BC1H = self.weight.weight @ units_BCAH + self.weight.bias
        return weights_BC1H[:, :, 0]
