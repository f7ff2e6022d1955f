"""No first stage: for a ranker that is measured by itself, on impressions."""

import torch
from torch import Tensor

from trainer.models.encoders.base import Encoder, EncoderDataSpec
from trainer.recipe.encoders import NoEncoderConfig


class NoEncoder(Encoder):
    """All vectors are zeros."""

    config = NoEncoderConfig
    trained_by = "none"

    def __init__(self, config: NoEncoderConfig, spec: EncoderDataSpec) -> None:
        super().__init__(config, spec)
        self.zeros_ND: Tensor
        self.register_buffer("zeros_ND", torch.zeros(spec.items, config.dimension))

    def item_vectors(self, rows: Tensor | None = None) -> Tensor:
        """See :class:`Encoder`."""
        return self.zeros_ND if rows is None else self.zeros_ND[rows]

    def of_history(
        self, history_vectors: Tensor, history_values: Tensor, history_events: Tensor, history_mask: Tensor
    ) -> Tensor:
        """See :class:`Encoder`."""
        return history_vectors.sum(dim=1) * 0.0
