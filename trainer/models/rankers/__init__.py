"""Rankers: user, history, candidates → a column for each goal. A new one is a body in a file here, a line below and a
recipe."""

from collections.abc import Callable

from trainer.errors import RecipeError
from trainer.models.rankers.base import Body, Columns, GoalScale, RankerSizes, View
from trainer.models.rankers.cnn import Cnn
from trainer.models.rankers.dcn_v2 import DcnV2
from trainer.models.rankers.din import Din
from trainer.models.rankers.final_mlp import FinalMlp
from trainer.models.rankers.gru import Gru
from trainer.models.rankers.mmoe import MixtureOfExperts
from trainer.models.rankers.ntn_mlp import NtnMlp
from trainer.models.rankers.ranker import Ranker, SharedBody
from trainer.models.rankers.wide_deep import WideDeep
from trainer.models.rankers.xdeepfm import XDeepFm
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
