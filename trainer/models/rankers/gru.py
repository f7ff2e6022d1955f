"""A recurrent interest (GRU4Rec: Hidasi et al., 2016, arXiv:1511.06939; the extractor of DIEN: Zhou et al., 2019,
arXiv:1809.03672): gated recurrent units over the history, whose last state is crossed with the candidate.

The state is once for each user, where attention over all of the states would be for each pair.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from trainer.models.rankers.base import RankerDataSpec
from trainer.models.rankers.history_backbone import HistoryBackbone
from trainer.recipe.models import RankerConfig


@dataclass(frozen=True, kw_only=True)
class GruConfig(RankerConfig):
    """[ranker] name = "gru"."""

    name: str = "gru"


class Gru(HistoryBackbone):
    """Recurrent from the oldest event to the latest."""

    config = GruConfig

    def __init__(self, config: GruConfig, spec: RankerDataSpec) -> None:
        super().__init__(config, spec)
        width = spec.dimension
        # Without biases zeros stay zeros: units that have only seen padding are as those that have seen nothing.
        self.units = nn.GRU(width, width, bias=False, batch_first=True)

    def interest(self, events_BHD: Tensor, items_BCD: Tensor, mask_BH: Tensor) -> Tensor:
        """See :class:`HistoryBackbone`."""
        # The latest event comes last then, and padding first. The exporter takes the length of all the states together
        # for a constant, so that only the last is asked for.
        last_1BD: Tensor = self.units(events_BHD.flip(1))[1]
        return last_1BD.transpose(0, 1)
