"""Rankers: user, history, candidates → a column for each objective. A new one is a backbone in a file here, a line
below and a recipe."""

from collections.abc import Callable

from trainer.errors import RecipeError
from trainer.models.rankers.base import Backbone, RankerDataSpec, RankerFeatures
from trainer.models.rankers.cnn import Cnn
from trainer.models.rankers.dcn_v2 import DcnV2
from trainer.models.rankers.din import Din
from trainer.models.rankers.final_mlp import FinalMlp
from trainer.models.rankers.gru import Gru
from trainer.models.rankers.mmoe import MixtureOfExperts
from trainer.models.rankers.ntn_mlp import NtnMlp
from trainer.models.rankers.objectives import Objective, Objectives
from trainer.models.rankers.ranker import Ranker, SharedBackbone
from trainer.models.rankers.wide_deep import WideDeep
from trainer.models.rankers.xdeepfm import XDeepFm
from trainer.recipe import RankerConfig

BACKBONES: dict[str, Callable[[RankerConfig, RankerDataSpec], Backbone]] = {
    "cnn": Cnn,
    "dcn_v2": DcnV2,
    "din": Din,
    "final_mlp": FinalMlp,
    "gru": Gru,
    "ntn_mlp": NtnMlp,
    "wide_deep": WideDeep,
    "xdeepfm": XDeepFm,
}


def build_ranker(recipe: RankerConfig, spec: RankerDataSpec) -> Ranker:
    """The ranker that a recipe names.

    Raises:
        RecipeError: there is none of that name.
    """
    if recipe.name not in BACKBONES:
        raise RecipeError(f"[ranker] name: no ranker {recipe.name!r}; there are {', '.join(sorted(BACKBONES))}")
    backbones = [BACKBONES[recipe.name](recipe, spec) for _ in range(recipe.experts)]
    return Ranker(
        MixtureOfExperts(backbones, spec) if len(backbones) > 1 else SharedBackbone(backbones[0], spec.objectives), spec
    )


__all__ = [
    "BACKBONES",
    "Backbone",
    "MixtureOfExperts",
    "Objective",
    "Objectives",
    "Ranker",
    "RankerDataSpec",
    "RankerFeatures",
    "SharedBackbone",
    "build_ranker",
]
