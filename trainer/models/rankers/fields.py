"""The features of a ranker as fields: vectors of one width that a backbone can cross with one another.

Besides the legend of :mod:`trainer.models.rankers.base`: N fields, E numbers each, Y = N·E.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainer.features.layout import FeatureGroups, named
from trainer.models.rankers.base import RankerDataSpec, RankerFeatures
from trainer.recipe.models import FieldRankerConfig


@dataclass(frozen=True, kw_only=True, eq=False)
class FieldVectors:
    """The fields in a row. Fields of the user are stored once for all candidates."""

    user_B1Y: Tensor
    candidate_BCY: Tensor

    def together(self) -> Tensor:
        """``[B, C, Y]``, the user's repeated for each candidate."""
        return torch.cat([self.user_B1Y.expand(-1, self.candidate_BCY.shape[1], -1), self.candidate_BCY], dim=-1)


class Fields(nn.Module):
    """Each group of columns becomes a vector by a linear map of its own; for a category the map is an embedding table.

    Groups are those of the user, the context, the candidate and the crossing features. Three more are vectors: of the
    user, the mean of the history, and of the candidate. The columns of an unknown group are zeros, so that its vector
    is the map's bias, a learnt default.
    """

    def __init__(self, config: FieldRankerConfig, spec: RankerDataSpec) -> None:
        super().__init__()
        self.width, self.scale, vector = config.field_width, spec.vector_scale, named({"vector": spec.dimension})
        of_user = {"user": vector, "history": vector, "user_context": spec.user_context}
        of_candidate = {"candidate": vector, "item": spec.items, "crossing": spec.crossing}
        self.of_user, self.of_candidate = self._groups(of_user), self._groups(of_candidate)
        self.user_count = sum(map(len, of_user.values()))
        self.candidate_count = sum(map(len, of_candidate.values()))
        self.user_dropout = nn.Dropout(config.user_dropout)

    @property
    def total(self) -> int:
        """Y, of all fields."""
        return (self.user_count + self.candidate_count) * self.width

    def forward(self, features: RankerFeatures) -> FieldVectors:
        """The fields of a view; those of the user are computed once."""
        length_B1 = features.mask_BH.sum(-1, keepdim=True).clamp(min=1.0)
        mean_BD = (features.mask_BH[:, None] @ features.history_BHD)[:, 0] / length_B1
        of_user = {
            "user": self.user_dropout(features.user_BD),
            "history": mean_BD / self.scale,
            "user_context": features.user_context_BU,
        }
        of_candidate = {
            "candidate": features.candidates_BCD / self.scale,
            "item": features.items_BCF,
            "crossing": features.crossing_BCX,
        }
        return FieldVectors(
            user_B1Y=_embedded(self.of_user, of_user)[:, None],
            candidate_BCY=_embedded(self.of_candidate, of_candidate),
        )

    def _groups(self, groups: Mapping[str, FeatureGroups]) -> nn.ModuleDict:
        return nn.ModuleDict({name: _Blocks(columns, self.width) for name, columns in groups.items() if columns})


class _Blocks(nn.Module):
    """The groups of one tensor in one product, with their maps as a block-diagonal matrix."""

    def __init__(self, columns: FeatureGroups, width: int) -> None:
        super().__init__()
        counts = [part.stop - part.start for part in columns.values()]
        self.weights = nn.ParameterList(torch.randn(count, width) / count**0.5 for count in counts)
        self.bias_Y = nn.Parameter(torch.zeros(len(counts) * width))

    def forward(self, columns: Tensor) -> Tensor:
        """From ``[..., columns]`` to ``[..., Y]``."""
        return columns @ along_diagonal(self.weights) + self.bias_Y


def along_diagonal(blocks: Iterable[Tensor]) -> Tensor:
    """The block-diagonal matrix of the blocks."""
    matrix: Tensor = torch.block_diag(*blocks)  # type: ignore[no-untyped-call]
    return matrix


def _embedded(groups: nn.ModuleDict, tensors: Mapping[str, Tensor]) -> Tensor:
    return torch.cat([blocks(tensors[name]) for name, blocks in groups.items()], dim=-1)


class Mlp(nn.Module):
    """``layers`` layers of ``hidden`` units over all fields."""

    def __init__(self, config: FieldRankerConfig, fields: Fields) -> None:
        super().__init__()
        hidden = config.hidden
        self.from_user = nn.Linear(fields.user_count * fields.width, hidden)
        self.from_candidate = nn.Linear(fields.candidate_count * fields.width, hidden, bias=False)
        self.others = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(config.layers - 1))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, fields: FieldVectors) -> Tensor:
        """Hidden units ``[B, C, M]``; the user's fields may differ between candidates."""
        first_BCM = self.from_user(fields.user_B1Y) + self.from_candidate(fields.candidate_BCY)
        hidden_BCM: Tensor = self.dropout(F.relu(first_BCM))
        for layer in self.others:
            hidden_BCM = self.dropout(F.relu(layer(hidden_BCM)))
        return hidden_BCM
