"""Id embeddings: a vector that the ranker learns for each item and each user, beyond tables and encoder."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

_STD = 0.1


@dataclass(frozen=True, kw_only=True, eq=False)
class IdEmbeddings:
    """The learnt vectors of all items, ``[items, E]``, and of all users, ``[users, E]``; E may be 0."""

    items: NDArray[np.float32]
    users: NDArray[np.float32]

    @property
    def width(self) -> int:
        """E."""
        return int(self.items.shape[1])


class IdEmbeddingLayer(nn.Module):
    """A row for each item and each user; once trained, they are feature columns of the bundle.

    Rows that training never meets are zeros, like those of unknown users. The others start at random, because the
    product of two zeros has no gradient.
    """

    def __init__(self, items: int, users: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.items, self.users = nn.Embedding(items, width), nn.Embedding(users, width)
        nn.init.zeros_(self.items.weight)
        nn.init.zeros_(self.users.weight)

    @torch.no_grad()
    def begin(self, items: NDArray[np.int64], users: NDArray[np.int64]) -> None:
        """Draws the initial rows of the items and users that training meets."""
        for table, rows in ((self.items.weight, items), (self.users.weight, users)):
            table[torch.from_numpy(rows)] = torch.randn(len(rows), self.width) * _STD

    @classmethod
    def of(cls, tables: IdEmbeddings) -> Self:
        """A layer with learnt vectors."""
        layer = cls(len(tables.items), len(tables.users), tables.width)
        layer.load_state_dict(
            {"items.weight": torch.from_numpy(tables.items), "users.weight": torch.from_numpy(tables.users)}
        )
        return layer

    def tables(self) -> IdEmbeddings:
        """The vectors as they are now."""
        return IdEmbeddings(items=self.items.weight.detach().numpy(), users=self.users.weight.detach().numpy())

    def add(
        self, inputs: dict[str, Tensor], users_B: Tensor, known_B: Tensor, candidates_BC: Tensor, history_BH: Tensor
    ) -> dict[str, Tensor]:
        """The inputs with the rows' id embeddings behind the features; zeros for padding and for unknown users."""
        added = {
            "user_features": self.users(users_B) * known_B[:, None],
            "candidate_features": self.items(candidates_BC),
            "history_features": self.items(history_BH) * inputs["history_mask"][..., None],
        }
        return inputs | {name: torch.cat([inputs[name], columns], dim=-1) for name, columns in added.items()}
