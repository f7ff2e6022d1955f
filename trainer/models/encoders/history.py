"""The interface of encoders that learn from whole histories, in which the order of events does not matter."""

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from trainer.models.encoders.base import Encoder, EncoderDataSpec
from trainer.recipe.models import WholeHistoryConfig


@dataclass(frozen=True, kw_only=True, eq=False)
class Representation:
    """Users ``[B, D]`` and items ``[N, D]`` whose inner products are logits, and a further loss.

    The ``penalty`` is added to the mean loss of an interaction.
    """

    users: Tensor
    items: Tensor
    penalty: Tensor


class HistoryEncoder(Encoder):
    """Learns to predict the items of a history.

    Histories are a sparse matrix of the number of events of each user with each item, ``[users, N]``.
    """

    trained_by = "whole_histories"

    def __init__(self, config: WholeHistoryConfig, spec: EncoderDataSpec) -> None:
        super().__init__(config, spec, reads_features=config.history_dropout > 0)

    def begin(self, histories_UN: sparse.csr_array) -> None:
        """Reads the training data once, before the first step."""

    @abstractmethod
    def represent(self, histories_BN: sparse.csr_array) -> Representation:
        """The representation of some histories, with gradients."""

    def settle(self) -> None:
        """Updates :meth:`item_vectors` and :meth:`item_inputs` to the present weights, after the steps of an epoch."""


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, table_ND: Tensor, matrix_BN: sparse.csr_array) -> Tensor:
        ctx.matrix = matrix_BN  # type: ignore[attr-defined]
        return torch.from_numpy(matrix_BN @ table_ND.detach().numpy())

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *gradients: Tensor) -> tuple[Tensor, None]:
        matrix: sparse.csr_array = ctx.matrix  # type: ignore[attr-defined]
        return torch.from_numpy(matrix.T @ gradients[0].numpy()), None


def product(matrix_BN: sparse.csr_array, table_ND: Tensor) -> Tensor:
    """Sums of the table's rows, ``[B, D]``, weighted by a matrix that has no gradient (float32)."""
    assert matrix_BN.dtype == np.float32
    sums: Tensor = _Product.apply(table_ND, matrix_BN)  # type: ignore[no-untyped-call]
    return sums


def normalised(histories_UN: sparse.csr_array) -> tuple[sparse.csr_array, Tensor]:
    """The graph, each edge divided by the roots of its ends' degrees, and the roots of the items' degrees ``[N, 1]``.

    A degree of zero counts as one.
    """
    root_U, root_N = (np.sqrt(histories_UN.sum(axis=axis).clip(min=1.0)) for axis in (1, 0))
    edges_UN = sparse.diags_array(1.0 / root_U) @ histories_UN @ sparse.diags_array(1.0 / root_N)
    return edges_UN.tocsr().astype(np.float32), torch.from_numpy(root_N.astype(np.float32))[:, None]
