"""Two towers (YouTube's candidate generation: Covington et al., 2016): a mean of the history through a network.

Unlike there, recent events may count for more: each head averages its components with learnt weights of the distance.
Training starts from equal weights, which is the plain mean.
"""

import itertools

import torch
from torch import Tensor, nn

from trainer.models.encoders.base import EncoderDataSpec
from trainer.models.encoders.distances import DISTANCE_BUCKETS, distance_buckets, how_far_back
from trainer.models.encoders.sequence import SequenceEncoder
from trainer.recipe.encoders import TwoTowerConfig

_HIDDEN_FACTOR = 4


class TwoTowerEncoder(SequenceEncoder):
    """The item tower: id and features. The user tower: a mean of the history, then ``layers`` hidden layers."""

    config = TwoTowerConfig

    def __init__(self, config: TwoTowerConfig, spec: EncoderDataSpec) -> None:
        super().__init__(config, spec)
        width = config.dimension
        self.mean = RecencyMean(config)
        self.tower = nn.Sequential(nn.LayerNorm(width), *_hidden_layers(config))

    def states(self, vectors_BLD: Tensor, values_BL: Tensor, events_BL: Tensor, mask_BL: Tensor, asked: int) -> Tensor:
        """See :class:`SequenceEncoder`. Computes ``asked`` means."""
        mean_BQD = self.mean(self.dropout(self.events(vectors_BLD, values_BL, events_BL)), mask_BL, asked)
        states: Tensor = mean_BQD + self.tower(mean_BQD)
        return states


class RecencyMean(nn.Module):
    """For each of the last places, the mean of all places not to its right, weighted by distance."""

    def __init__(self, config: TwoTowerConfig) -> None:
        super().__init__()
        self.by_distance = nn.Parameter(torch.zeros(config.heads, DISTANCE_BUCKETS))
        self.bucket_of_distance: Tensor
        self.register_buffer("bucket_of_distance", torch.from_numpy(distance_buckets(config.history)))

    def forward(self, x_BLD: Tensor, mask_BL: Tensor, asked: int) -> Tensor:
        """``[B, Q, D]`` for the last Q = ``asked`` places; zeros where there is no event yet."""
        back_QL = how_far_back(mask_BL)[-asked:]
        weight_HQL = self.by_distance[:, self.bucket_of_distance[back_QL.clamp(min=0)]].exp()
        weight_HQL = torch.where(back_QL >= 0, weight_HQL, 0.0)
        real_BL = (mask_BL > 0).to(x_BLD.dtype)
        heads, width = weight_HQL.shape[0], x_BLD.shape[-1]
        real_BLD = torch.where(real_BL[..., None] > 0, x_BLD, 0.0)
        x_BHLd = real_BLD.view(*x_BLD.shape[:-1], heads, width // heads).transpose(1, 2)
        total_BHQ1 = weight_HQL @ real_BL[:, None, :, None]
        mean_BHQd: Tensor = (weight_HQL @ x_BHLd) / total_BHQ1.clamp(min=1e-9)
        return mean_BHQd.transpose(1, 2).flatten(2)


def _hidden_layers(config: TwoTowerConfig) -> list[nn.Module]:
    width, hidden = config.dimension, _HIDDEN_FACTOR * config.dimension
    widths = [width, *[hidden] * config.layers]
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), nn.GELU(), nn.Dropout(config.dropout)]
    return [*layers, nn.Linear(hidden, width)]
