"""Rankers: user, history, candidates → a column for each goal. A new one is a body in a file here, a line below and a
recipe."""

from collections.abc import Callable

from trainer.errors import RecipeError
from trainer.rankers.base import Body, Columns, GoalScale, RankerSizes, View
from trainer.rankers.cnn import Cnn
from trainer.rankers.dcn_v2 import DcnV2
from trainer.rankers.din import Din
from trainer.rankers.final_mlp import FinalMlp
from trainer.rankers.gru import Gru
from trainer.rankers.mmoe import MixtureOfExperts
from trainer.rankers.ntn_mlp import NtnMlp
from trainer.rankers.ranker import Ranker, SharedBody
from trainer.rankers.wide_deep import WideDeep
from trainer.rankers.xdeepfm import XDeepFm
from trainer.recipe import Ranker as RankerRecipe

BODIES: dict[str, Callable[[RankerRecipe, RankerSizes], Body]] = {
    "cnn": Cnn,
    "dcn_v2": DcnV2,
    "din": Din,
    "final_mlp": FinalMlp,
    "gru": Gru,
    "ntn_mlp": NtnMlp,
    "wide_deep": WideDeep,
    "xdeepfm": XDeepFm,
}


def build_ranker(recipe: RankerRecipe, sizes: RankerSizes) -> Ranker:
    """The ranker that a recipe names.

    Raises:
        RecipeError: there is none of that name.
    """
    if recipe.name not in BODIES:
        raise RecipeError(f"[ranker] name: no ranker {recipe.name!r}; there are {', '.join(sorted(BODIES))}")
    bodies = [BODIES[recipe.name](recipe, sizes) for _ in range(recipe.experts)]
    return Ranker(MixtureOfExperts(bodies, sizes) if len(bodies) > 1 else SharedBody(bodies[0], sizes.goals), sizes)


__all__ = [
    "BODIES",
    "Body",
    "Columns",
    "GoalScale",
    "MixtureOfExperts",
    "Ranker",
    "RankerSizes",
    "SharedBody",
    "View",
    "build_ranker",
]
