"""A causal self-attention encoder (SASRec: Kang and McAuley, 2018, arXiv:1808.09781) that also sees what items are.

Unlike SASRec's, positions are relative, as a learnt bias for each distance (T5: Raffel et al., 2020,
arXiv:1910.10683): a history cut to its last events then looks the same as in training. The item vectors serve as input
and as output, so that the exported graph holds no item table: serving gathers the history's vectors from the bundle.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainer.encoders.base import EncoderSizes, SequenceEncoder
from trainer.recipe import Encoder as EncoderRecipe

_EXACT_DISTANCES = 16
_DISTANCE_BUCKETS = 32
_HIDDEN_FACTOR = 4
_FAR = -1e9


class TransformerEncoder(SequenceEncoder):
    """Item id and item features, the value and the kind of each event; pre-norm blocks."""

    def __init__(self, recipe: EncoderRecipe, sizes: EncoderSizes) -> None:
        super().__init__(recipe, sizes)
        width = recipe.dimension
        self.ids = _embedding(sizes.items, width, 0.05)
        self.content = nn.Linear(sizes.item_features.shape[1], width, bias=False)
        nn.init.normal_(self.content.weight, std=0.02)
        self.values = _embedding(len(sizes.value_edges) + 1, width, 0.05)
        self.kinds = _embedding(sizes.events + 1, width, 0.05)
        self.intent = _embedding(2, width, 0.02)
        self.blocks = nn.ModuleList(_Block(recipe) for _ in range(recipe.layers))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, width)
        self.dropout = nn.Dropout(recipe.dropout)
        self.features_NF: Tensor
        self.value_edges: Tensor
        self.bucket_of_distance: Tensor
        self.register_buffer("features_NF", torch.from_numpy(sizes.item_features))
        self.register_buffer("value_edges", torch.from_numpy(sizes.value_edges))
        self.register_buffer("bucket_of_distance", torch.from_numpy(_distance_buckets(recipe.history)))

    def item_vectors(self, rows: Tensor | None = None) -> Tensor:
        """A vector learnt for the id, plus what the features say."""
        if rows is None:
            content: Tensor = self.content(self.features_NF)
            return self.ids.weight + content
        content = self.content(self.features_NF[rows])
        return F.embedding(rows, self.ids.weight, sparse=True) + content

    def item_tables(self) -> list[nn.Parameter]:
        """See :class:`SequenceEncoder`."""
        return list(self.ids.parameters())

    def states(self, vectors_BLD: Tensor, values_BL: Tensor, events_BL: Tensor, mask_BL: Tensor) -> Tensor:
        """See :class:`SequenceEncoder`. An unknown value (NaN) is above no edge, which makes it a bucket of its own."""
        x_BLD = self._inputs(vectors_BLD, values_BL, events_BL)
        bias_BLL, distance_LL = self._bias(mask_BL)
        for block in self.blocks:
            x_BLD = block(x_BLD, bias_BLL, distance_LL)
        states: Tensor = self.out(self.norm(x_BLD))
        return states

    def last_state(self, vectors_BLD: Tensor, values_BL: Tensor, events_BL: Tensor, mask_BL: Tensor) -> Tensor:
        """See :class:`SequenceEncoder`. The last block is computed for the last place alone."""
        x_BLD = self._inputs(vectors_BLD, values_BL, events_BL)
        for block in self.blocks[:-1]:
            x_BLD = block(x_BLD, *self._bias(mask_BL))
        last_B1D = self.blocks[-1](x_BLD, *self._bias(mask_BL, last=1))
        state_BD: Tensor = self.out(self.norm(last_B1D[:, 0]))
        return state_BD

    def queries(self, states: Tensor, liked: Tensor) -> Tensor:
        """See :class:`SequenceEncoder`."""
        wanted: Tensor = self.intent(liked.long())
        return states + wanted

    def _inputs(self, vectors_BLD: Tensor, values_BL: Tensor, events_BL: Tensor) -> Tensor:
        bucket_BL = (values_BL[..., None] >= self.value_edges).long().sum(-1)
        x_BLD: Tensor = self.dropout(vectors_BLD + self.values(bucket_BL) + self.kinds(events_BL))
        return x_BLD

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
        self.by_distance = nn.Parameter(torch.zeros(self.heads, _DISTANCE_BUCKETS))
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


def _embedding(rows: int, width: int, std: float) -> nn.Embedding:
    table = nn.Embedding(rows, width)
    nn.init.normal_(table.weight, std=std)
    return table


def _distance_buckets(length: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """A bucket for each distance ``[length]``: exact when near, logarithmic when far."""
    distance = np.arange(length)
    far = _EXACT_DISTANCES + 4 * np.log2(np.maximum(distance, _EXACT_DISTANCES) / _EXACT_DISTANCES)
    buckets = np.where(distance < _EXACT_DISTANCES, distance, np.minimum(far, _DISTANCE_BUCKETS - 1))
    return buckets.astype(np.int64)
