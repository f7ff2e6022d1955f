"""A causal self-attention encoder (SASRec: Kang and McAuley, 2018, arXiv:1808.09781) that also sees what items are.

Unlike SASRec's, positions are relative, as a learnt bias for each distance (T5: Raffel et al., 2020,
arXiv:1910.10683): a history cut to its last events then looks the same as in training. The item vectors serve as input
and as output, so that the exported graph holds no item table: serving gathers the history's vectors from the bundle.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainer.encoders.base import Encoder, EncoderSizes
from trainer.encoders.distances import DISTANCE_BUCKETS, distance_buckets
from trainer.encoders.item_vectors import INTENT_STD, EventInputs, ItemVectors, embedding
from trainer.recipe import Encoder as EncoderRecipe

_HIDDEN_FACTOR = 4
_FAR = -1e9


class TransformerEncoder(Encoder):
    """Item id and item features, the value and the kind of each event; pre-norm blocks."""

    def __init__(self, recipe: EncoderRecipe, sizes: EncoderSizes) -> None:
        super().__init__()
        width = recipe.dimension
        self.items = ItemVectors(sizes, width)
        self.events = EventInputs(sizes, width, recipe.dropout)
        self.intent = embedding(2, width, INTENT_STD)
        self.blocks = nn.ModuleList(_Block(recipe) for _ in range(recipe.layers))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, width)
        self.bucket_of_distance: Tensor
        self.register_buffer("bucket_of_distance", torch.from_numpy(distance_buckets(recipe.history)))

    def item_vectors(self, rows: Tensor | None = None) -> Tensor:
        """A vector learnt for the id, plus what the features say."""
        vectors: Tensor = self.items(rows)
        return vectors

    def item_tables(self) -> list[nn.Parameter]:
        """See :class:`Encoder`."""
        return self.items.tables()

    def states(self, vectors_BLD: Tensor, values_BL: Tensor, events_BL: Tensor, mask_BL: Tensor) -> Tensor:
        """See :class:`Encoder`."""
        x_BLD = self.events(vectors_BLD, values_BL, events_BL)
        bias_BLL, distance_LL = self._bias(mask_BL)
        for block in self.blocks:
            x_BLD = block(x_BLD, bias_BLL, distance_LL)
        states: Tensor = self.out(self.norm(x_BLD))
        return states

    def last_state(self, vectors_BLD: Tensor, values_BL: Tensor, events_BL: Tensor, mask_BL: Tensor) -> Tensor:
        """See :class:`Encoder`. The last block is computed for the last place alone."""
        x_BLD = self.events(vectors_BLD, values_BL, events_BL)
        for block in self.blocks[:-1]:
            x_BLD = block(x_BLD, *self._bias(mask_BL))
        last_B1D = self.blocks[-1](x_BLD, *self._bias(mask_BL, last=1))
        state_BD: Tensor = self.out(self.norm(last_B1D[:, 0]))
        return state_BD

    def queries(self, states: Tensor, liked: Tensor) -> Tensor:
        """See :class:`Encoder`."""
        wanted: Tensor = self.intent(liked.long())
        return states + wanted

    def _bias(self, mask_BL: Tensor, last: int | None = None) -> tuple[Tensor, Tensor]:
        """What the ``last`` places (None: all) may see, ``[B, Q, L]``, and the bucket of each distance, ``[Q, L]``."""
        place_L = torch.arange(mask_BL.shape[1], device=mask_BL.device)
        place_Q = place_L if last is None else place_L[-last:]
        back_QL = place_Q[:, None] - place_L[None, :]
        allowed_BQL = (back_QL >= 0)[None] & (mask_BL > 0)[:, None, :]
        bias_BQL = torch.where(allowed_BQL, 0.0, _FAR)
        return bias_BQL, self.bucket_of_distance[back_QL.clamp(min=0)]


class _Block(nn.Module):
    def __init__(self, recipe: EncoderRecipe) -> None:
        super().__init__()
        width, self.heads = recipe.dimension, recipe.heads
        self.norm_attention, self.norm_hidden = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.mix = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, _HIDDEN_FACTOR * width), nn.Linear(_HIDDEN_FACTOR * width, width)
        self.by_distance = nn.Parameter(torch.zeros(self.heads, DISTANCE_BUCKETS))
        self.dropout = nn.Dropout(recipe.dropout)

    def forward(self, x_BLD: Tensor, bias_BQL: Tensor, distance_QL: Tensor) -> Tensor:
        """The last Q places of the L: as many as the bias has rows."""
        asked = bias_BQL.shape[1]
        attended_BQD = self._attend(self.norm_attention(x_BLD), bias_BQL, distance_QL)
        x_BQD = x_BLD[:, -asked:] + self.dropout(attended_BQD)
        hidden = self.dropout(F.gelu(self.up(self.norm_hidden(x_BQD))))
        out_BQD: Tensor = x_BQD + self.dropout(self.down(hidden))
        return out_BQD

    def _attend(self, x_BLD: Tensor, bias_BQL: Tensor, distance_QL: Tensor) -> Tensor:
        width = x_BLD.shape[-1]
        weight, bias = self.qkv.weight, self.qkv.bias
        q = self._by_head(F.linear(x_BLD[:, -bias_BQL.shape[1] :], weight[:width], bias[:width]))
        k, v = (self._by_head(part) for part in F.linear(x_BLD, weight[width:], bias[width:]).chunk(2, dim=-1))
        logits = q @ k.transpose(-1, -2) / math.sqrt(width // self.heads)
        logits = logits + self.by_distance[:, distance_QL] + bias_BQL[:, None]
        attended: Tensor = self.mix((logits.softmax(-1) @ v).transpose(1, 2).flatten(2))
        return attended

    def _by_head(self, x_BLD: Tensor) -> Tensor:
        batch, length, width = x_BLD.shape
        return x_BLD.view(batch, length, self.heads, width // self.heads).transpose(1, 2)
