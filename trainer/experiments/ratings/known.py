"""The known ratings as tensors, and batches of users and items to learn from or to predict.

Legend of shapes, here and in the other files: U users, I items, N ratings, B users of a batch, K factors, F user
features. G item features, R thresholds between levels.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from trainer.experiments.ratings.ratings import Ints
from trainer.experiments.ratings.residuals import Residuals


@dataclass(frozen=True, kw_only=True, eq=False)
class Known:
    """Counts and sums of the ratings of each user and each item, and the raters of each item."""

    residuals: Residuals
    counts_U: Tensor
    counts_I: Tensor
    sums_U: Tensor
    """Sums of the residuals beyond the item."""
    squares_U: Tensor
    sums_I: Tensor
    """Sums of the deviations."""
    raters_I2U: sparse.csr_array
    """The residuals beyond both means, then a one for each rating."""

    @classmethod
    def of(cls, residuals: Residuals) -> Self:
        """The sums of some ratings."""
        users, items, size = residuals.user_rows, residuals.item_rows, (residuals.items, residuals.users)
        beyond = residuals.beyond_item.astype(np.float64)
        return cls(
            residuals=residuals,
            counts_U=_sums(users, None, residuals.users),
            counts_I=_sums(items, None, residuals.items),
            sums_U=_sums(users, beyond, residuals.users),
            squares_U=_sums(users, beyond**2, residuals.users),
            sums_I=_sums(items, residuals.deviations, residuals.items),
            raters_I2U=_residuals_and_ones(items, users, residuals.beyond_both, size),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """N pairs of B users and items. Pairs that are ``learnt`` from are known ratings and have residuals."""

    users_B: Tensor
    places_N: Tensor
    """The places of the users in ``users_B``."""
    items_N: Tensor
    rated_B2I: sparse.csr_array
    """The residuals beyond the item in the users' ratings, then a one for each rating."""
    learnt: bool
    deviations_N: Tensor
    beyond_item_N: Tensor
    beyond_both_N: Tensor

    @property
    def user_rows(self) -> Tensor:
        """The users of the pairs, ``[N]``."""
        return self.users_B[self.places_N]

    @classmethod
    def to_learn(cls, known: Residuals, users: Ints) -> Self:
        """The ratings of some users."""
        rated = known.at(np.flatnonzero(np.isin(known.user_rows, users)))
        return cls._of(rated, rated, users, learnt=True)

    @classmethod
    def to_ask(cls, known: Residuals, users: Ints, user_rows: Ints, item_rows: Ints) -> Self:
        """Pairs ``[N]`` of some users, none of them rated."""
        rated = known.at(np.flatnonzero(np.isin(known.user_rows, users)))
        nothing = np.zeros(len(user_rows), dtype=np.float32)
        asked = Residuals(
            user_rows=user_rows,
            item_rows=item_rows,
            deviations=nothing,
            beyond_item=nothing,
            beyond_both=nothing,
            users=known.users,
            items=known.items,
        )
        return cls._of(rated, asked, users, learnt=False)

    @classmethod
    def _of(cls, rated: Residuals, pairs: Residuals, users: Ints, *, learnt: bool) -> Self:
        place_U = np.zeros(rated.users, dtype=np.int64)
        place_U[users] = np.arange(len(users))
        shape = (len(users), rated.items)
        return cls(
            users_B=torch.from_numpy(users),
            places_N=torch.from_numpy(place_U[pairs.user_rows]),
            items_N=torch.from_numpy(pairs.item_rows),
            rated_B2I=_residuals_and_ones(place_U[rated.user_rows], rated.item_rows, rated.beyond_item, shape),
            learnt=learnt,
            deviations_N=torch.from_numpy(pairs.deviations),
            beyond_item_N=torch.from_numpy(pairs.beyond_item),
            beyond_both_N=torch.from_numpy(pairs.beyond_both),
        )


def _residuals_and_ones(
    rows: Ints, columns: Ints, residuals: NDArray[np.float32], shape: tuple[int, int]
) -> sparse.csr_array:
    """Two matrices of one shape side by side."""
    places = (np.concatenate([rows, rows]), np.concatenate([columns, columns + shape[1]]))
    return sparse.coo_array(
        (np.concatenate([residuals, np.ones_like(residuals)]), places), (shape[0], 2 * shape[1])
    ).tocsr()


def _sums(rows: Ints, weights: NDArray[np.floating] | None, size: int) -> Tensor:
    return torch.from_numpy(np.bincount(rows, weights, size).astype(np.float32))
