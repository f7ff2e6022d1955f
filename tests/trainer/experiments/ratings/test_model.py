"""The score of a rating without itself."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from trainer.experiments.ratings.heads import Levels
from trainer.experiments.ratings.known import Batch, Known
from trainer.experiments.ratings.model import TwoSided
from trainer.experiments.ratings.ratings import Ratings, Scale
from trainer.experiments.ratings.residuals import Residuals

FEATURES = 3


def model_of(known: Residuals) -> TwoSided:
    """With weights and features at random, always the same."""
    torch.manual_seed(0)
    users, items = torch.randn(known.users, FEATURES), torch.randn(known.items, FEATURES)
    model = TwoSided(Known.of(known), users, items, factors=4, dropout=0)
    for weights in model.parameters():
        torch.nn.init.normal_(weights)
    return model


def scored(model: TwoSided, scale: Scale, batch: Batch) -> tuple[Tensor, Tensor]:
    """Scores and expected deviations of a batch, which a user's variance makes sharper or less so."""
    with torch.no_grad():
        levels = Levels(model.known, scale, 0.5)
        levels.sharpness.zero_()
        levels.of_variance.fill_(-1)
        scores_N = model(batch)
        return scores_N, levels.values(scores_N, batch)


@pytest.mark.parametrize("place", [0, 1, 57, 2399])
def test_a_rating_is_learnt_from_as_if_it_were_not_there(planted_ratings: Ratings, place: int) -> None:
    """Proves the closed form: the score of a rating in training is that of the pair once the rating is deleted."""
    scale = Scale.of(planted_ratings)
    known = Residuals.of(planted_ratings, scale)
    users = np.unique(known.user_rows)[::2] if known.user_rows[place] % 2 == 0 else np.unique(known.user_rows)[1::2]
    batch = Batch.to_learn(known, users)
    model = model_of(known)
    scores_N, values_N = scored(model, scale, batch)
    user, item = known.user_rows[place], known.item_rows[place]
    own = np.flatnonzero((batch.user_rows.numpy() == user) & (batch.items_N.numpy() == item))

    rest = known.at(np.delete(np.arange(len(planted_ratings)), place))
    without = model_of(rest)
    asked = Batch.to_ask(rest, np.array([user]), np.array([user]), np.array([item]))
    expected_score, expected_value = scored(without, scale, asked)
    np.testing.assert_allclose(scores_N[own], expected_score, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(values_N[own], expected_value, rtol=1e-4, atol=1e-4)


def test_the_score_is_the_formula(planted_ratings: Ratings) -> None:
    """Proves the matrices: of one pair that was not rated, the sums of the module's formula one by one."""
    known = Residuals.of(planted_ratings, Scale.of(planted_ratings))
    model, user = model_of(known), 5
    item = int(np.setdiff1d(np.arange(known.items), known.item_rows[known.user_rows == user])[0])
    with torch.no_grad():
        batch = Batch.to_ask(known, np.array([user]), np.array([user]), np.array([item]))
        score = model(batch).item()
        mine, raters = np.flatnonzero(known.user_rows == user), np.flatnonzero(known.item_rows == item)
        taste = model.P_UK[user] + model.features_UF[user] @ model.A_FK
        for place in mine:
            row = known.item_rows[place]
            told = known.beyond_item[place] * model.X_IK[row] + model.Y_IK[row]
            taste = taste + told / len(mine) ** 0.5
        kind = model.Q_IK[item] + model.features_IG[item] @ model.B_GK
        for place in raters:
            row = known.user_rows[place]
            told = known.beyond_both[place] * model.Z_UK[row] + model.W_UK[row]
            kind = kind + told / len(raters) ** 0.5
        mean_i = known.deviations[raters].sum() / (len(raters) + model.prior_of_items.exp().item())
        mean_u = known.beyond_item[mine].sum() / (len(mine) + model.prior_of_users.exp().item())
        biases = model.bias_U[user] + model.features_UF[user] @ model.bias_F
        biases = biases + model.bias_I[item] + model.features_IG[item] @ model.bias_G + model.bias
        expected = biases.item() + mean_i + mean_u + (taste @ kind).item()
    assert score == pytest.approx(expected, rel=1e-4)


class _Largest(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """The number of cells of the largest tensor that is made."""

    cells = 0

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] = {}
    ) -> Any:  # noqa: ANN401 - whatever the function returns
        found = func(*args, **kwargs)
        self.cells = max(self.cells, found.numel()) if isinstance(found, Tensor) else self.cells
        return found


def test_nothing_is_as_large_as_users_times_items() -> None:
    """Proves it of a step over 300 users and 5,000 items with one rating each."""
    items = np.arange(5000)
    values = (items % 5 + 1).astype(np.float32)
    ratings = Ratings(user_rows=items % 300, item_rows=items, values=values, users=300, items=5000)
    known = Residuals.of(ratings, Scale.of(ratings))
    model = model_of(known)
    with _Largest() as largest:  # type: ignore[no-untyped-call]
        model(Batch.to_learn(known, np.arange(300))).sum().backward()
    assert 5000 * 4 <= largest.cells < 100_000


def test_sparse_and_dense_products_are_the_same(planted_ratings: Ratings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves it of scores and of gradients."""
    known = Residuals.of(planted_ratings, Scale.of(planted_ratings))
    batch, found = Batch.to_learn(known, np.arange(0, known.users, 2)), []
    for cells in (0, 10**9):
        monkeypatch.setattr("trainer.experiments.ratings.model._CELLS_OF_A_RATING", cells)
        model = model_of(known)
        scores_N = model(batch)
        (scores_N**2).sum().backward()
        found.append([scores_N, *(one.grad for one in model.parameters() if one.grad is not None)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-3)
