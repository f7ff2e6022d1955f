"""Implicit alternating least squares (Hu et al., 2008), as revisited by Rendle et al. (2021, arXiv:2110.14037).

A user vector is the solution of a least squares problem over the item vectors. A new user is therefore folded in as in
training, inside the exported graph.
"""

from collections.abc import Callable

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from trainer.models.encoders.base import Encoder, EncoderDataSpec
from trainer.recipe.encoders import IalsConfig

_FOLD_IN_STEPS = 10
_SWEEP_STEPS = 4
_CHUNK = 4096
_TINY = 1e-30


class IalsEncoder(Encoder):
    """Minimises Σ c (1 − u·i)² over the pairs of a user u with c events of item i, plus w Σ (u·i)² over all pairs.

    Each vector is regularised in proportion to its events.
    """

    config = IalsConfig
    trained_by = "sweeps"

    def __init__(self, config: IalsConfig, spec: EncoderDataSpec) -> None:
        # The vectors are solutions of linear systems: no gradient reaches weights of user features.
        super().__init__(config, spec)
        self._config = config
        std = 0.1 / config.dimension**0.5
        self.items_ND: Tensor
        self.gram_DD: Tensor
        self.register_buffer("items_ND", std * torch.randn(spec.items, config.dimension))
        self.register_buffer("gram_DD", self._gram(self.items_ND))

    def item_vectors(self, rows: Tensor | None = None) -> Tensor:
        """See :class:`Encoder`."""
        return self.items_ND if rows is None else self.items_ND[rows]

    def of_history(
        self, history_vectors: Tensor, history_values: Tensor, history_events: Tensor, history_mask: Tensor
    ) -> Tensor:
        """See :class:`Encoder`."""
        vectors_BLD = history_vectors * history_mask[..., None]
        ridge_B1 = self._ridge(history_mask.sum(dim=1, keepdim=True), len(self.items_ND))

        def times(x_BD: Tensor) -> Tensor:
            of_history_BD = (vectors_BLD.transpose(1, 2) @ (vectors_BLD @ x_BD[..., None]))[..., 0]
            return of_history_BD + x_BD @ self.gram_DD + ridge_B1 * x_BD

        right_BD = vectors_BLD.sum(dim=1)
        like_BD = self.gram_DD.diagonal() + ridge_B1
        return conjugate_gradients(times, like_BD, right_BD, torch.zeros_like(right_BD), _FOLD_IN_STEPS)

    @torch.no_grad()
    def sweep(self, users_UD: Tensor, histories_UN: sparse.csr_array) -> Tensor:
        """Solves for the users and then for the items; returns the users, where the next sweep starts.

        Then both are rotated so that the items' Gram matrix is diagonal, which changes no score. A short history is
        then folded in exactly, in one step for each of its items and one more.
        """
        users_UD = self._solve(histories_UN, users_UD, self.items_ND)
        items_ND = self._solve(histories_UN.T.tocsr(), self.items_ND, users_UD)
        turn_DD: Tensor = torch.linalg.eigh(self._gram(items_ND)).eigenvectors
        self.items_ND = items_ND @ turn_DD
        self.gram_DD = self._gram(self.items_ND)
        turned_UD: Tensor = users_UD @ turn_DD
        return turned_UD

    @torch.no_grad()
    def objective(self, users_UD: Tensor, histories_UN: sparse.csr_array) -> float:
        """The objective that sweeps minimise, per interaction."""
        total = (self.gram_DD * (users_UD.T @ users_UD)).sum()
        for vectors, others, axis in ((users_UD, self.items_ND, 1), (self.items_ND, users_UD, 0)):
            ridge_M1 = self._ridge(torch.from_numpy(histories_UN.sum(axis=axis))[:, None], len(others))
            total += (ridge_M1 * vectors.square()).sum()
        for start in range(0, len(users_UD), _CHUNK):
            line_P, item_P, count_P = _cells(histories_UN[start : start + _CHUNK])
            score_P = (users_UD[start + line_P] * self.items_ND[item_P]).sum(dim=-1)
            total += (count_P * (1.0 - score_P).square()).sum()
        return float(total / histories_UN.sum())

    def _solve(self, counts_MN: sparse.csr_array, start_MD: Tensor, others_ND: Tensor) -> Tensor:
        gram_DD = self._gram(others_ND)
        chunks = range(0, counts_MN.shape[0], _CHUNK)
        return torch.cat(
            [self._solved(counts_MN[at : at + _CHUNK], start_MD[at : at + _CHUNK], others_ND, gram_DD) for at in chunks]
        )

    def _solved(self, counts_CN: sparse.csr_array, start_CD: Tensor, others_ND: Tensor, gram_DD: Tensor) -> Tensor:
        line_P, other_P, count_P = _cells(counts_CN)
        others_PD = others_ND[other_P]
        ridge_C1 = self._ridge(torch.from_numpy(counts_CN.sum(axis=1))[:, None], len(others_ND))

        def times(x_CD: Tensor) -> Tensor:
            weighted = counts_CN.copy()
            weighted.data = (count_P * (others_PD * x_CD[line_P]).sum(dim=-1)).numpy()
            return torch.from_numpy(weighted @ others_ND.numpy()) + x_CD @ gram_DD + ridge_C1 * x_CD

        right_CD = torch.from_numpy(counts_CN @ others_ND.numpy())
        return conjugate_gradients(times, gram_DD.diagonal() + ridge_C1, right_CD, start_CD, _SWEEP_STEPS)

    def _gram(self, vectors_ND: Tensor) -> Tensor:
        return self._config.unobserved_weight * vectors_ND.T @ vectors_ND

    def _ridge(self, count_B1: Tensor, others: int) -> Tensor:
        return self._config.regularisation * (count_B1 + self._config.unobserved_weight * others)


def _cells(counts_CN: sparse.csr_array) -> tuple[Tensor, Tensor, Tensor]:
    """Row, column and count of the nonzero cells, in the order of the matrix's data."""
    line = np.repeat(np.arange(counts_CN.shape[0]), np.diff(counts_CN.indptr))
    return (
        torch.from_numpy(line),
        torch.from_numpy(counts_CN.indices.astype(np.int64)),
        torch.from_numpy(counts_CN.data),
    )


def conjugate_gradients(
    times: Callable[[Tensor], Tensor], like_BD: Tensor, right_BD: Tensor, start_BD: Tensor, steps: int
) -> Tensor:
    """B symmetric positive definite systems at once, after some steps from a start (Hestenes and Stiefel, 1952).

    ``times`` multiplies the matrices with vectors ``[B, D]``; the solution's product is ``right_BD``. ``like_BD`` are
    the diagonals of the preconditioner.
    """
    solution_BD, rest_BD = start_BD, right_BD - times(start_BD)
    direction_BD = rest_BD / like_BD
    size_B1 = (rest_BD * direction_BD).sum(dim=-1, keepdim=True)
    for _ in range(steps):
        image_BD = times(direction_BD)
        length_B1 = size_B1 / (direction_BD * image_BD).sum(dim=-1, keepdim=True).clamp(min=_TINY)
        solution_BD, rest_BD = solution_BD + length_B1 * direction_BD, rest_BD - length_B1 * image_BD
        before_B1, size_B1 = size_B1, (rest_BD.square() / like_BD).sum(dim=-1, keepdim=True)
        direction_BD = rest_BD / like_BD + size_B1 / before_B1.clamp(min=_TINY) * direction_BD
    return solution_BD
