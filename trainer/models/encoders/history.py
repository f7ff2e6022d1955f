"""The shape of the encoders that learn from whole histories, in which the order of events does not matter."""

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from trainer.models.encoders.base import Encoder, EncoderDataSpec
from trainer.recipe.models import GradientConfig


@dataclass(frozen=True, kw_only=True, eq=False)
class Representation:
    """Users ``[B, D]`` and items ``[N, D]`` whose inner products are logits, and what else is to be kept small.

    The ``penalty`` is added to the mean loss of an interaction.
    """

    users: Tensor
    items: Tensor
    penalty: Tensor


class HistoryEncoder(Encoder):
    """Learns to tell what is in a history from what is not.

    Histories are a sparse matrix of how often each user did anything with each item, ``[users, N]``.
    """

    trained_by = "whole_histories"

    def __init__(self, config: GradientConfig, spec: EncoderDataSpec) -> None:
        super().__init__(config, spec, reads_features=config.history_dropout > 0)

    def begin(self, histories_UN: sparse.csr_array) -> None:
        """Looks at all that will be learnt from, once, before the first step."""

    @abstractmethod
    def represent(self, histories_BN: sparse.csr_array) -> Representation:
        """Some of the histories, with gradients."""

    def settle(self) -> None:
        """Makes :meth:`item_vectors` and :meth:`item_inputs` those of the present weights, after the steps."""


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
    """The graph, every edge divided by the roots of both its ends' degrees; and the roots of the items', ``[N, 1]``.

    A degree of zero counts as one.
    """
    root_U, root_N = (np.sqrt(histories_UN.sum(axis=axis).clip(min=1.0)) for axis in (1, 0))
    edges_UN = sparse.diags_array(1.0 / root_U) @ histories_UN @ sparse.diags_array(1.0 / root_N)
    return edges_UN.tocsr().astype(np.float32), torch.from_numpy(root_N.astype(np.float32))[:, None]
