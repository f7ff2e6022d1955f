"""A causal self-attention encoder (SASRec: Kang and McAuley, 2018, arXiv:1808.09781) that also reads item features.

Unlike SASRec's, positions are relative, as a learnt bias for each distance (T5: Raffel et al., 2020,
arXiv:1910.10683). A history cut to its last events then looks the same as in training. The item vectors serve as input
and as output. The exported graph therefore holds no item table: serving gathers the history's vectors from the bundle.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from trainer.models.encoders.attention import Attention
from trainer.models.encoders.base import EncoderDataSpec
from trainer.models.encoders.distances import how_far_back
from trainer.models.encoders.sequence import SequenceEncoder
from trainer.recipe.encoders import TransformerConfig

_HIDDEN_FACTOR = 4


class TransformerEncoder(SequenceEncoder):
    """Reads item id and features, the value and the kind of each event. Blocks are pre-norm."""

    config = TransformerConfig

    def __init__(self, config: TransformerConfig, spec: EncoderDataSpec) -> None:
        super().__init__(config, spec)
        width = config.dimension
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, width)

    def states(self, vectors_BLD: Tensor, values_BL: Tensor, events_BL: Tensor, mask_BL: Tensor, asked: int) -> Tensor:
        """See :class:`SequenceEncoder`. The last block computes the ``asked`` places alone."""
        x_BLD = self.dropout(self.events(vectors_BLD, values_BL, events_BL))
        back_LL = how_far_back(mask_BL)
        for block in self.blocks[:-1]:
            x_BLD = block(x_BLD, mask_BL, back_LL)
        last_BQD = self.blocks[-1](x_BLD, mask_BL, back_LL[-asked:])
        states: Tensor = self.out(self.norm(last_BQD))
        return states


class _Block(nn.Module):
    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width = config.dimension
        self.norm_attention, self.norm_hidden = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(config)
        self.up, self.down = nn.Linear(width, _HIDDEN_FACTOR * width), nn.Linear(_HIDDEN_FACTOR * width, width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x_BLD: Tensor, mask_BL: Tensor, back_QL: Tensor) -> Tensor:
        """The last Q of L places; ``back_QL`` is the distance from each of them back to each place."""
        attended_BQD = self.attention(self.norm_attention(x_BLD), mask_BL, back_QL)
        x_BQD = x_BLD[:, -back_QL.shape[0] :] + self.dropout(attended_BQD)
        hidden = self.dropout(F.gelu(self.up(self.norm_hidden(x_BQD))))
        out_BQD: Tensor = x_BQD + self.dropout(self.down(hidden))
        return out_BQD
