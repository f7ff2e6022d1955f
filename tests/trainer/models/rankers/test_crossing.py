"""The purpose of a ranker's backbone: a user and an item together say what neither does alone."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.trainer.configs import ranker_config
from tests.trainer.planted_views import DIMENSION, PADDING, accuracy, features_of, trained
from trainer.models.rankers import RankerFeatures
from trainer.models.registry import BACKBONES
from trainer.recipe.rankers import NtnMlpConfig

RECIPE = NtnMlpConfig(hidden=32, dropout=0.0, user_dropout=0.0)
USERS, CANDIDATES, NOISE = 300, 3, 0.3


def of_the_same_side(seed: int) -> tuple[RankerFeatures, Tensor]:
    """Users and items are of one of two sides, by the first number of their vectors; right is an item of the user's.

    So are half of the items whoever the user is, and half of the users whatever the item is. Nobody has a history, and
    what would cross a candidate with it is all zeros.
    """
    random = torch.Generator().manual_seed(seed)
    users_BD, items_BCD = (_vectors(random, *shape) for shape in ((USERS,), (USERS, CANDIDATES)))
    nothing = features_of(torch.full((USERS, 1), PADDING), torch.zeros(USERS, CANDIDATES, dtype=torch.int64))
    assert not nothing.crossing_BCX.any()
    same_BC = users_BD[:, None, 0] == items_BCD[..., 0]
    return replace(nothing, user_BD=users_BD, candidates_BCD=items_BCD), same_BC[..., None].float()


def _vectors(random: torch.Generator, *shape: int) -> Tensor:
    vectors_D = torch.randn(*shape, DIMENSION, generator=random) * NOISE
    vectors_D[..., 0] = torch.randint(0, 2, shape, generator=random) * 2.0 - 1.0
    return vectors_D


@pytest.mark.parametrize("name", BACKBONES)
def test_a_body_crosses_the_user_with_the_item(name: str) -> None:
    """Proves, on users and items that it never met, that a backbone learns by itself what only both of them say: the
    features that the linear part beside it reads, by which other planted data can be told, say nothing here."""
    towers = trained(ranker_config(RECIPE, name), *of_the_same_side(0), 60)
    assert accuracy(towers, *of_the_same_side(1)).item() > 0.93
