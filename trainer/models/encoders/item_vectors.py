"""The inputs of sequence encoders: item vectors and event inputs."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainer.models.encoders.base import EncoderDataSpec

# Larger ones take epochs to turn: on Beauty a validation nDCG@10 of .0543 after six with .05, of .0592 with this.
_STD = 0.02
# The share of random vectors beside spectral ones: items with the same spectral vector still have to differ.
_LEFT = 0.3


class ItemVectors(nn.Module):
    """An embedding of the id plus a linear map of the features: ``[N, D]``.

    An item without an event to learn from has the features' part alone. Training also drops the ids of a share of the
    items with features, so that features learn to stand alone (DropoutNet: Volkovs et al., 2017).
    """

    def __init__(self, spec: EncoderDataSpec, width: int, id_dropout: float) -> None:
        super().__init__()
        described = spec.item_features.any(axis=1)
        self._id_dropout = id_dropout if described.any() else 0.0
        self.ids = embedding(spec.items, width, _STD)
        self.content = nn.Linear(spec.item_features.shape[1], width, bias=False)
        nn.init.normal_(self.content.weight, std=_STD)
        self.features_NF: Tensor
        self.learnt_N1: Tensor
        self.described_N1: Tensor
        self.register_buffer("features_NF", torch.from_numpy(spec.item_features))
        self.register_buffer("learnt_N1", torch.from_numpy(spec.learnt.astype(np.float32))[:, None])
        self.register_buffer("described_N1", torch.from_numpy(described)[:, None], persistent=False)

    def forward(self, rows: Tensor | None = None) -> Tensor:
        """All items, or those of the rows. With rows, the gradients of the ids are sparse."""
        if rows is None:
            content: Tensor = self.content(self.features_NF)
            return self._kept(self.learnt_N1, self.described_N1) * self.ids.weight + content
        content = self.content(self.features_NF[rows])
        return (
            self._kept(self.learnt_N1[rows], self.described_N1[rows]) * F.embedding(rows, self.ids.weight, sparse=True)
            + content
        )

    def _kept(self, learnt_M1: Tensor, described_M1: Tensor) -> Tensor:
        if not self.training or self._id_dropout == 0:
            return learnt_M1
        is_dropped_M1 = (torch.rand_like(learnt_M1) < self._id_dropout) & described_M1
        return learnt_M1 * ~is_dropped_M1

    @torch.no_grad()
    def begin_at(self, places_ND: Tensor) -> None:
        """Moves the embeddings of the ids near these places, before the first step."""
        self.ids.weight.mul_(_LEFT).add_(places_ND)

    def tables(self) -> list[nn.Parameter]:
        """The weights with a row for each item."""
        return list(self.ids.parameters())


class EventInputs(nn.Module):
    """The input of an event: the item's vector plus embeddings of its value and its kind, ``[B, L, D]``."""

    def __init__(self, spec: EncoderDataSpec, width: int) -> None:
        super().__init__()
        self.values = embedding(len(spec.value_edges) + 1, width, _STD)
        self.kinds = embedding(spec.events + 1, width, _STD)
        self.value_edges: Tensor
        self.register_buffer("value_edges", torch.from_numpy(spec.value_edges))

    def forward(self, vectors_BLD: Tensor, values_BL: Tensor, events_BL: Tensor) -> Tensor:
        """An unknown value (NaN) is above no edge, and has the lowest bucket."""
        bucket_BL = (values_BL[..., None] >= self.value_edges).long().sum(-1)
        x_BLD: Tensor = vectors_BLD + self.values(bucket_BL) + self.kinds(events_BL)
        return x_BLD


def embedding(rows: int, width: int, std: float) -> nn.Embedding:
    """A table of embeddings, drawn from a normal distribution."""
    table = nn.Embedding(rows, width)
    nn.init.normal_(table.weight, std=std)
    return table
