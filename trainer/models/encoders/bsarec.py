"""Attention and a filter of slow changes, side by side (BSARec: Shin et al., 2024, arXiv:2312.10325).

Unlike there, positions are relative and the filter is causal. Training therefore learns from every place of a history
at once, and not from the end of each prefix. Blocks are post-norm, as there.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from trainer.models.encoders.attention import Attention
from trainer.models.encoders.base import EncoderDataSpec
from trainer.models.encoders.distances import how_far_back
from trainer.models.encoders.low_pass import LowPass
from trainer.models.encoders.sequence import SequenceEncoder
from trainer.recipe.encoders import BsarecConfig

_HIDDEN_FACTOR = 4


class BsarecEncoder(SequenceEncoder):
    """Reads item id and features, the value and the kind of each event. User vectors are outputs of the last block."""

    config = BsarecConfig

    def __init__(self, config: BsarecConfig, spec: EncoderDataSpec) -> None:
        super().__init__(config, spec)
        self.norm = nn.LayerNorm(config.dimension)
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config.layers))

    def states(self, vectors_BLD: Tensor, values_BL: Tensor, events_BL: Tensor, mask_BL: Tensor, asked: int) -> Tensor:
        """See :class:`SequenceEncoder`. The last block computes the ``asked`` places alone."""
        x_BLD = self.dropout(self.norm(self.events(vectors_BLD, values_BL, events_BL)))
        back_LL = how_far_back(mask_BL)
        for block in self.blocks[:-1]:
            x_BLD = block(x_BLD, mask_BL, back_LL)
        states: Tensor = self.blocks[-1](x_BLD, mask_BL, back_LL[-asked:])
        return states


class _Block(nn.Module):
    def __init__(self, config: BsarecConfig) -> None:
        super().__init__()
        width, self.share = config.dimension, config.low_pass
        self.low_pass, self.norm_filtered = LowPass(config.history, width), nn.LayerNorm(width)
        self.attention, self.norm_attended = Attention(config), nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, _HIDDEN_FACTOR * width), nn.Linear(_HIDDEN_FACTOR * width, width)
        self.norm_out = nn.LayerNorm(width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x_BLD: Tensor, mask_BL: Tensor, back_QL: Tensor) -> Tensor:
        """The last Q of L places; ``back_QL`` is the distance from each of them back to each place."""
        x_BQD = x_BLD[:, -back_QL.shape[0] :]
        filtered_BQD = self.norm_filtered(x_BQD + self.dropout(self.low_pass(x_BLD, mask_BL, back_QL)))
        attended_BQD = self.norm_attended(x_BQD + self.dropout(self.attention(x_BLD, mask_BL, back_QL)))
        mixed_BQD = self.share * filtered_BQD + (1 - self.share) * attended_BQD
        out_BQD: Tensor = self.norm_out(mixed_BQD + self.dropout(self.down(F.gelu(self.up(mixed_BQD)))))
        return out_BQD
