"""Causal self-attention with relative positions (T5: Raffel et al., 2020, arXiv:1910.10683)."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainer.models.encoders.distances import DISTANCE_BUCKETS, distance_buckets
from trainer.recipe.models import AttentionConfig

_FAR = -1e9


class Attention(nn.Module):
    """Attends to real events that are not to the right, with a learnt bias for each distance."""

    def __init__(self, config: AttentionConfig) -> None:
        super().__init__()
        width, self.heads = config.dimension, config.heads
        self.qkv, self.mix = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.by_distance = nn.Parameter(torch.zeros(self.heads, DISTANCE_BUCKETS))
        self.dropout = nn.Dropout(config.attention_dropout)
        self.bucket_of_distance: Tensor
        self.register_buffer("bucket_of_distance", torch.from_numpy(distance_buckets(config.history)))

    def forward(self, x_BLD: Tensor, mask_BL: Tensor, back_QL: Tensor) -> Tensor:
        """``[B, Q, D]`` for the last Q of L places; ``back_QL`` is the distance from each of them back to each."""
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
