"""A recurrent encoder (GRU4Rec: Hidasi et al., 2016, arXiv:1511.06939), with the loss of all sequence encoders.

The item vectors serve as input and as output, so that the exported graph holds no item table.
"""

import torch
from torch import Tensor, nn

from trainer.models.encoders.base import EncoderDataSpec
from trainer.models.encoders.sequence import SequenceEncoder
from trainer.recipe.encoders import GruConfig


class GruEncoder(SequenceEncoder):
    """Reads item id and features, the value and the kind of each event, by layers of gated recurrent units."""

    config = GruConfig

    def __init__(self, config: GruConfig, spec: EncoderDataSpec) -> None:
        super().__init__(config, spec)
        width = config.dimension
        # Without biases zeros stay zeros, so padding leaves the state untouched.
        self.layers = nn.ModuleList(nn.GRU(width, width, bias=False, batch_first=True) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, width)

    def states(self, vectors_BLD: Tensor, values_BL: Tensor, events_BL: Tensor, mask_BL: Tensor, asked: int) -> Tensor:
        """See :class:`SequenceEncoder`."""
        mask_BL1 = mask_BL[..., None] > 0
        x_BLD = torch.where(mask_BL1, self.dropout(self.events(vectors_BLD, values_BL, events_BL)), 0.0)
        for layer in self.layers:
            x_BLD = self.dropout(layer(x_BLD)[0])
        states: Tensor = self.out(self.norm(x_BLD[:, -asked:]))
        return states
