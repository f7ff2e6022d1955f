"""A causal self-attention encoder (SASRec: Kang and McAuley, 2018, arXiv:1808.09781) that also sees what items are.

Unlike SASRec's, positions are relative, as a learnt bias for each distance (T5: Raffel et al., 2020,
arXiv:1910.10683): a history cut to its last events then looks the same as in training. The item vectors serve as input
and as output, so that the exported graph holds no item table: serving gathers the history's vectors from the bundle.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainer.encoders.base import EncoderSizes
from trainer.encoders.distances import DISTANCE_BUCKETS, distance_buckets, how_far_back
from trainer.encoders.low_pass import LowPass
from trainer.encoders.sequence import SequenceEncoder
from trainer.recipe import Encoder as EncoderRecipe

_HIDDEN_FACTOR = 4
_FAR = -1e9


class TransformerEncoder(SequenceEncoder):
    """Item id and item features, the value and the kind of each event; pre-norm blocks."""

    def __init__(self, recipe: EncoderRecipe, sizes: EncoderSizes) -> None:
        super().__init__(recipe, sizes)
        width = recipe.dimension
        self.blocks = nn.ModuleList(_Block(recipe) for _ in range(recipe.layers))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, width)

    def states(self, vectors_BLD: Tensor, values_BL: Tensor, events_BL: Tensor, mask_BL: Tensor) -> Tensor:
        """See :class:`SequenceEncoder`."""
        x_BLD = self.events(vectors_BLD, values_BL, events_BL)
        back_LL = how_far_back(mask_BL)
        for block in self.blocks:
            x_BLD = block(x_BLD, mask_BL, back_LL)
        states: Tensor = self.out(self.norm(x_BLD))
        return states

    def last_state(self, vectors_BLD: Tensor, values_BL: Tensor, events_BL: Tensor, mask_BL: Tensor) -> Tensor:
        """See :class:`SequenceEncoder`. The last block is computed for the last place alone."""
        x_BLD = self.events(vectors_BLD, values_BL, events_BL)
        back_LL = how_far_back(mask_BL)
        for block in self.blocks[:-1]:
            x_BLD = block(x_BLD, mask_BL, back_LL)
        last_B1D = self.blocks[-1](x_BLD, mask_BL, back_LL[-1:])
        state_BD: Tensor = self.out(self.norm(last_B1D[:, 0]))
        return state_BD


class _Block(nn.Module):
    def __init__(self, recipe: EncoderRecipe) -> None:
        super().__init__()
        width = recipe.dimension
        self.norm_mixed, self.norm_hidden = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = _Attention(recipe)
        self.low_pass, self.share = LowPass(recipe.history, width) if recipe.low_pass else None, recipe.low_pass
        self.up, self.down = nn.Linear(width, _HIDDEN_FACTOR * width), nn.Linear(_HIDDEN_FACTOR * width, width)
        self.dropout = nn.Dropout(recipe.dropout)

    def forward(self, x_BLD: Tensor, mask_BL: Tensor, back_QL: Tensor) -> Tensor:
        """The last Q places of the L, which are ``back_QL`` from each of them."""
        mixed_BQD = self._mix(self.norm_mixed(x_BLD), mask_BL, back_QL)
        x_BQD = x_BLD[:, -back_QL.shape[0] :] + self.dropout(mixed_BQD)
        hidden = self.dropout(F.gelu(self.up(self.norm_hidden(x_BQD))))
        out_BQD: Tensor = x_BQD + self.dropout(self.down(hidden))
        return out_BQD

    def _mix(self, x_BLD: Tensor, mask_BL: Tensor, back_QL: Tensor) -> Tensor:
        attended_BQD: Tensor = self.attention(x_BLD, mask_BL, back_QL)
        if self.low_pass is None:
            return attended_BQD
        filtered_BQD: Tensor = self.low_pass(x_BLD, mask_BL, back_QL)
        return self.share * filtered_BQD + (1 - self.share) * attended_BQD


class _Attention(nn.Module):
    """To what is real and not to the right, with a learnt bias for each distance."""

    def __init__(self, recipe: EncoderRecipe) -> None:
        super().__init__()
        width, self.heads = recipe.dimension, recipe.heads
        self.qkv, self.mix = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.by_distance = nn.Parameter(torch.zeros(self.heads, DISTANCE_BUCKETS))
        self.dropout = nn.Dropout(recipe.attention_dropout)
        self.bucket_of_distance: Tensor
        self.register_buffer("bucket_of_distance", torch.from_numpy(distance_buckets(recipe.history)))

    def forward(self, x_BLD: Tensor, mask_BL: Tensor, back_QL: Tensor) -> Tensor:
        width, asked = x_BLD.shape[-1], back_QL.shape[0]
        weight, bias = self.qkv.weight, self.qkv.bias
        q = self._by_head(F.linear(x_BLD[:, -asked:], weight[:width], bias[:width]))
        k, v = (self._by_head(part) for part in F.linear(x_BLD, weight[width:], bias[width:]).chunk(2, dim=-1))
        logits = q @ k.transpose(-1, -2) / math.sqrt(width // self.heads) + self._bias(mask_BL, back_QL)
        attended: Tensor = self.mix((self.dropout(logits.softmax(-1)) @ v).transpose(1, 2).flatten(2))
        return attended

    def _bias(self, mask_BL: Tensor, back_QL: Tensor) -> Tensor:
        allowed_BQL = (back_QL >= 0)[None] & (mask_BL > 0)[:, None, :]
        by_distance_HQL = self.by_distance[:, self.bucket_of_distance[back_QL.clamp(min=0)]]
        return by_distance_HQL + torch.where(allowed_BQL, 0.0, _FAR)[:, None]

    def _by_head(self, x_BLD: Tensor) -> Tensor:
        batch, length, width = x_BLD.shape
        return x_BLD.view(batch, length, self.heads, width // self.heads).transpose(1, 2)
