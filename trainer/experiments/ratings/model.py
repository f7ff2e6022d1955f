"""SVD++ of both sides. The score of user u and item i, as a deviation from the mean of all, is

    b + m_i + m_u + b_i + b_u + (P_u + Aᵀ F_u + c_u Σ_j (e_uj X_j + Y_j)) · (Q_i + Bᵀ G_i + c_i Σ_v (f_vi Z_v + W_v))

over the items j that u rated and the users v who rated i. Here c is 1 / √count. F and G are features, and m are shrunk
means. e is a rating beyond its item's mean; f is beyond its user's mean, too.

P with Y alone is SVD++; e X + Y without P is Asymmetric-SVD (Koren, 2008, "Factorization meets the neighborhood",
section 4). Z and W are the same for an item's raters.

Training leaves a rating out of the sums, the counts and the means of its own score. This is exact, with one exception:
the residuals of other ratings still use means that include it.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.experiments.ratings.known import Batch, Known
from trainer.models.encoders.history import product

_INITIAL = 0.05
_CELLS_OF_A_RATING = 64
_PRIOR_OF_USERS, _PRIOR_OF_ITEMS = 1.7, 1.5  # logarithms of how many ratings a mean is drawn to zero by


class TwoSided(nn.Module):
    """See the module. ``users`` are the features F ``[U, F]``, ``items`` G ``[I, G]``."""

    def __init__(self, known: Known, users: Tensor, items: Tensor, factors: int, dropout: float) -> None:
        super().__init__()
        self.known, self.features_UF, self.features_IG, self.dropout = known, users, items, dropout
        self.P_UK, self.Z_UK, self.W_UK = (_random(len(users), factors) for _ in range(3))
        self.Q_IK, self.X_IK, self.Y_IK = (_random(len(items), factors) for _ in range(3))
        self.A_FK, self.B_GK = _zeros(users.shape[1], factors), _zeros(items.shape[1], factors)
        self.bias, self.bias_U, self.bias_I = _zeros(1), _zeros(len(users)), _zeros(len(items))
        self.bias_F, self.bias_G = _zeros(users.shape[1]), _zeros(items.shape[1])
        self.prior_of_users = nn.Parameter(torch.tensor(_PRIOR_OF_USERS))
        self.prior_of_items = nn.Parameter(torch.tensor(_PRIOR_OF_ITEMS))

    def forward(self, batch: Batch) -> Tensor:
        """Scores ``[N]`` of the batch's pairs, each rating without itself."""
        known, itself = self.known, float(batch.learnt)
        c_B = _root(known.counts_U[batch.users_B] - itself)
        c_I = _root(known.counts_I - itself)
        own_UK = self._dropped(self.P_UK + self.features_UF @ self.A_FK)
        own_IK = self._dropped(self.Q_IK + self.features_IG @ self.B_GK)
        user_BK = own_UK[batch.users_B] + c_B[:, None] * product(batch.rated_B2I, torch.cat([self.X_IK, self.Y_IK]))
        item_IK = own_IK + c_I[:, None] * product(known.raters_I2U, torch.cat([self.Z_UK, self.W_UK]))
        scores_N = self._biases(batch) + _Pairs(batch, item_IK)(user_BK)
        return scores_N - self._of_itself(batch, user_BK, item_IK, c_B, c_I) if batch.learnt else scores_N

    def penalty(self, own: float, of_ratings: float, of_biases: float) -> Tensor:
        """The squared weights of each user and item, times their number of ratings.

        ``own`` scales their own factors, ``of_ratings`` the factors that stand for a rating, ``of_biases`` the biases.
        """
        of_U, of_I = self.known.counts_U, self.known.counts_I
        squares = own * (_squares(of_U, self.P_UK) + _squares(of_I, self.Q_IK))
        squares = squares + of_ratings * (_squares(of_I, self.X_IK, self.Y_IK) + _squares(of_U, self.Z_UK, self.W_UK))
        return squares + of_biases * ((of_U * self.bias_U**2).sum() + (of_I * self.bias_I**2).sum())

    def _biases(self, batch: Batch) -> Tensor:
        known, itself = self.known, float(batch.learnt)
        of_U, of_I = self.bias_U + self.features_UF @ self.bias_F, self.bias_I + self.features_IG @ self.bias_G
        users_N, items_N = batch.user_rows, batch.items_N
        mean_u = (known.sums_U[users_N] - batch.beyond_item_N) / (
            known.counts_U[users_N] - itself + self.prior_of_users.exp()
        )
        mean_i = (known.sums_I[items_N] - batch.deviations_N) / (
            known.counts_I[items_N] - itself + self.prior_of_items.exp()
        )
        return self.bias + mean_i + mean_u + of_I.index_select(0, items_N) + of_U.index_select(0, users_N)

    def _of_itself(self, batch: Batch, user_BK: Tensor, item_IK: Tensor, c_B: Tensor, c_I: Tensor) -> Tensor:
        """The part of each rating in its own product, ``[N]``: p q − (p − c (e X + Y)) (q − c (f Z + W))."""
        c_u, c_i = c_B[batch.places_N], c_I[batch.items_N]
        e, f = batch.beyond_item_N, batch.beyond_both_N
        Z_BK, W_BK = self.Z_UK[batch.users_B], self.W_UK[batch.users_B]
        with_X, with_Y = _Pairs(batch, self.X_IK), _Pairs(batch, self.Y_IK)
        to_user = c_u * (e * _of_rows(self.X_IK, item_IK, batch.items_N) + _of_rows(self.Y_IK, item_IK, batch.items_N))
        to_item = c_i * (f * _of_rows(Z_BK, user_BK, batch.places_N) + _of_rows(W_BK, user_BK, batch.places_N))
        both = f * (e * with_X(Z_BK) + with_Y(Z_BK)) + e * with_X(W_BK) + with_Y(W_BK)
        return to_user + to_item - c_u * c_i * both

    def _dropped(self, factors: Tensor) -> Tensor:
        return functional.dropout(factors, self.dropout, self.training)


class _Pairs:
    """Inner products of a batch's pairs of users and items.

    Where ratings are dense, products of all users and items from which the pairs are picked are faster than gathering
    the factors of each pair. Else their time and memory would grow with users times items.
    """

    def __init__(self, batch: Batch, items_IK: Tensor) -> None:
        self._items_IK, self._batch = items_IK, batch
        self._dense = len(batch.users_B) * len(items_IK) <= _CELLS_OF_A_RATING * len(batch.items_N)

    def __call__(self, users_BK: Tensor) -> Tensor:
        """``[N]``."""
        places_N, items_N = self._batch.places_N, self._batch.items_N
        if self._dense:
            cells_N = places_N * len(self._items_IK) + items_N
            return (users_BK @ self._items_IK.T).flatten().index_select(0, cells_N)
        return (users_BK.index_select(0, places_N) * self._items_IK.index_select(0, items_N)).sum(1)


def _of_rows(left: Tensor, right: Tensor, rows_N: Tensor) -> Tensor:
    """The product of each row ``[n, K]`` with the same one of the other, ``[N]``."""
    return (left * right).sum(1).index_select(0, rows_N)


def _root(counts: Tensor) -> Tensor:
    return counts.clamp(min=1) ** -0.5


def _squares(counts: Tensor, *factors: Tensor) -> Tensor:
    return torch.stack([(counts * (one**2).sum(1)).sum() for one in factors]).sum()


def _random(rows: int, factors: int) -> nn.Parameter:
    return nn.Parameter(_INITIAL * torch.randn(rows, factors))


def _zeros(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.zeros(*shape))
