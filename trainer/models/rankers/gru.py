"""A recurrent interest: the last state of gated recurrent units over the history is crossed with the candidate.

GRU4Rec: Hidasi et al., 2016, arXiv:1511.06939. The interest extractor of DIEN: Zhou et al., 2019, arXiv:1809.03672.

The state is computed once for each user; attention over all states would be computed for each pair.
"""

from torch import Tensor, nn

from trainer.models.rankers.base import RankerDataSpec
from trainer.models.rankers.history_backbone import HistoryBackbone
from trainer.recipe.rankers import GruConfig


class Gru(HistoryBackbone):
    """Gated recurrent units from the oldest event to the latest."""

    config = GruConfig

    def __init__(self, config: GruConfig, spec: RankerDataSpec) -> None:
        super().__init__(config, spec)
        width = spec.dimension
        # Without biases zeros stay zeros, so padding leaves the state untouched.
        self.units = nn.GRU(width, width, bias=False, batch_first=True)

    def interest(self, events_BHD: Tensor, items_BCD: Tensor, mask_BH: Tensor) -> Tensor:
        """See :class:`HistoryBackbone`."""
        # Flipped, the latest event comes last and padding first. Only the last state is used, because the exporter
        # would take the length of all states for a constant.
        last_1BD: Tensor = self.units(events_BHD.flip(1))[1]
        return last_1BD.transpose(0, 1)
