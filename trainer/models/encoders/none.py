"""No first stage: for a ranker that is measured by itself, on what was shown."""

from typing import ClassVar

import torch
from torch import Tensor

from trainer.models.encoders.base import Encoder, EncoderDataSpec
from trainer.recipe import EncoderConfig


class NoEncoder(Encoder):
    """All vectors are zeros."""

    tuned: ClassVar[tuple[str, ...]] = ()

    def __init__(self, recipe: EncoderConfig, spec: EncoderDataSpec) -> None:
        super().__init__(recipe, spec)
        self.zeros_ND: Tensor
        self.register_buffer("zeros_ND", torch.zeros(spec.items, recipe.dimension))

    def item_vectors(self, rows: Tensor | None = None) -> Tensor:
        """See :class:`Encoder`."""
        return self.zeros_ND if rows is None else self.zeros_ND[rows]

    def of_history(
        self, history_vectors: Tensor, history_values: Tensor, history_events: Tensor, history_mask: Tensor
    ) -> Tensor:
        """See :class:`Encoder`."""
        return history_vectors.sum(dim=1) * 0.0
