"""Rankers: user, history, candidates → scores per head. A new one is a file here, a line below and a recipe."""

from collections.abc import Callable

from trainer.errors import RecipeError
from trainer.rankers.base import Ranker, RankerSizes
from trainer.rankers.ntn_mlp import NtnMlpRanker
from trainer.recipe import Ranker as RankerRecipe

RANKERS: dict[str, Callable[[RankerRecipe, RankerSizes], Ranker]] = {"ntn_mlp": NtnMlpRanker}


def build_ranker(recipe: RankerRecipe, sizes: RankerSizes) -> Ranker:
    """The ranker that a recipe names.

    Raises:
        RecipeError: there is none of that name.
    """
    if recipe.name not in RANKERS:
        raise RecipeError(f"[ranker] name: no ranker {recipe.name!r}; there are {', '.join(sorted(RANKERS))}")
    return RANKERS[recipe.name](recipe, sizes)


__all__ = ["RANKERS", "Ranker", "RankerSizes", "build_ranker"]
