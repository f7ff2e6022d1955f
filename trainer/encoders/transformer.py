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

from trainer.encoders.base import Encoder, EncoderSizes
from trainer.recipe import Encoder as EncoderRecipe

_EXACT_DISTANCES = 16
_DISTANCE_BUCKETS = 32
_HIDDEN_FACTOR = 4
_FAR = -1e9


class TransformerEncoder(Encoder):
    """Item id and item features, the value and the kind of each event; pre-norm blocks."""

    def __init__(self, recipe: EncoderRecipe, sizes: EncoderSizes) -> None:
        super().__init__()
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

    def item_vectors(self) -> Tensor:
        """A vector learnt for the id, plus what the features say."""
        content: Tensor = self.content(self.features_NF)
        return self.ids.weight + content

    def states(self, vectors_BLD: Tensor, values_BL: Tensor, events_BL: Tensor, mask_BL: Tensor) -> Tensor:
        """See :class:`Encoder`. An unknown value (NaN) is above no edge, which makes it a bucket of its own."""
        bucket_BL = (values_BL[..., None] >= self.value_edges).long().sum(-1)
        x_BLD = self.dropout(vectors_BLD + self.values(bucket_BL) + self.kinds(events_BL))
        bias_BLL, distance_LL = self._bias(mask_BL)
        for block in self.blocks:
            x_BLD = block(x_BLD, bias_BLL, distance_LL)
        states: Tensor = self.out(self.norm(x_BLD))
        return states

    def queries(self, states: Tensor, liked: Tensor) -> Tensor:
        """See :class:`Encoder`."""
        wanted: Tensor = self.intent(liked.long())
        return states + wanted

    def _bias(self, mask_BL: Tensor) -> tuple[Tensor, Tensor]:
        length = mask_BL.shape[1]
        place_L = torch.arange(length, device=mask_BL.device)
        back_LL = place_L[:, None] - place_L[None, :]
        allowed_BLL = (back_LL >= 0)[None] & (mask_BL > 0)[:, None, :]
        bias_BLL = torch.where(allowed_BLL, 0.0, _FAR)
        return bias_BLL, self.bucket_of_distance[back_LL.clamp(min=0)]


class _Block(nn.Module):
    def __init__(self, recipe: EncoderRecipe) -> None:
        super().__init__()
        width, self.heads = recipe.dimension, recipe.heads
        self.norm_attention, self.norm_hidden = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.mix = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, _HIDDEN_FACTOR * width), nn.Linear(_HIDDEN_FACTOR * width, width)
        self.by_distance = nn.Parameter(torch.zeros(self.heads, _DISTANCE_BUCKETS))
        self.dropout = nn.Dropout(recipe.dropout)

    def forward(self, x_BLD: Tensor, bias_BLL: Tensor, distance_LL: Tensor) -> Tensor:
        x_BLD = x_BLD + self.dropout(self._attend(self.norm_attention(x_BLD), bias_BLL, distance_LL))
        hidden = self.dropout(F.gelu(self.up(self.norm_hidden(x_BLD))))
        out: Tensor = x_BLD + self.dropout(self.down(hidden))
        return out

    def _attend(self, x_BLD: Tensor, bias_BLL: Tensor, distance_LL: Tensor) -> Tensor:
        batch, length, width = x_BLD.shape
        split = self.qkv(x_BLD).view(batch, length, 3, self.heads, width // self.heads)
        q, k, v = split.permute(2, 0, 3, 1, 4).unbind(0)
        logits = q @ k.transpose(-1, -2) / math.sqrt(width // self.heads)
        logits = logits + self.by_distance[:, distance_LL] + bias_BLL[:, None]
        attended: Tensor = self.mix((logits.softmax(-1) @ v).transpose(1, 2).reshape(batch, length, width))
        return attended


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
