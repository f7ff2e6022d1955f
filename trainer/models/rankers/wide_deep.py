"""A linear part that remembers pairs, and an MLP that generalises (Wide & Deep: Cheng et al., 2016, arXiv:1606.07792).

The pairs are the paper's cross-product transformations of what is known of a user with what is known of an item. Their
weights are summed over the user's columns first, so that a candidate costs no more than a linear part of its own.
"""

import torch
from torch import Tensor, nn

from trainer.models.rankers.base import Body, RankerSizes, View, width_of
from trainer.models.rankers.fields import Fields, Mlp
from trainer.recipe import Ranker as RankerRecipe


class WideDeep(Body):
    """An MLP over the fields, beside a weight for each pair of a column of the user's and one of the item's."""

    def __init__(self, recipe: RankerRecipe, sizes: RankerSizes) -> None:
        super().__init__()
        items, goals = width_of(sizes.items), len(sizes.goals)
        self.pairs_GUF = nn.Parameter(torch.zeros(goals, width_of(sizes.about), items))
        self.alone_G1F = nn.Parameter(torch.zeros(goals, 1, items))
        self.fields = Fields(recipe, sizes)
        self.deep = Mlp(recipe, self.fields)
        self.width = recipe.hidden + goals

    def forward(self, view: View) -> Tensor:
        """See :class:`Body`."""
        return torch.cat([self.deep(self.fields(view)), self.wide(view)], dim=-1)

    def wide(self, view: View) -> Tensor:
        """The linear part of each goal ``[B, C, G]``; of a stranger, that of the item's columns alone."""
        weights_GBF: Tensor = view.about_BU @ self.pairs_GUF + self.alone_G1F
        return view.items_BCF @ weights_GBF.permute(1, 2, 0)
