"""The sections of rankers. They lie apart from the models, so that a recipe is checked without PyTorch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from trainer.errors import RecipeError
from trainer.recipe.models import FieldRankerConfig, RankerConfig


@dataclass(frozen=True, kw_only=True)
class CnnConfig(RankerConfig):
    """[ranker] name = "cnn"."""

    name: str = "cnn"


@dataclass(frozen=True, kw_only=True)
class DcnV2Config(FieldRankerConfig):
    """[ranker] name = "dcn_v2". It has `layers` cross layers of rank `hidden` beside an MLP."""

    name: str = "dcn_v2"


@dataclass(frozen=True, kw_only=True)
class DinConfig(RankerConfig):
    """[ranker] name = "din"."""

    name: str = "din"


@dataclass(frozen=True, kw_only=True)
class FinalMlpConfig(FieldRankerConfig):
    """[ranker] name = "final_mlp". The fusion has `slices` heads."""

    name: str = "final_mlp"
    slices: Annotated[int, Meta(ge=1, le=1024)] = 8

    def __post_init__(self) -> None:
        if self.hidden % self.slices:
            raise RecipeError("slices: must divide hidden, of whose units each is a head of final_mlp")


@dataclass(frozen=True, kw_only=True)
class GruConfig(RankerConfig):
    """[ranker] name = "gru"."""

    name: str = "gru"


@dataclass(frozen=True, kw_only=True)
class NtnMlpConfig(RankerConfig):
    """[ranker] name = "ntn_mlp", the default. Its tensor has `slices`."""

    name: str = "ntn_mlp"
    slices: Annotated[int, Meta(ge=1, le=1024)] = 8


@dataclass(frozen=True, kw_only=True)
class WideDeepConfig(FieldRankerConfig):
    """[ranker] name = "wide_deep"."""

    name: str = "wide_deep"


@dataclass(frozen=True, kw_only=True)
class XDeepFmConfig(FieldRankerConfig):
    """[ranker] name = "xdeepfm". Each of the `layers` has `slices` maps."""

    name: str = "xdeepfm"
    slices: Annotated[int, Meta(ge=1, le=1024)] = 8


RANKER_CONFIGS: Mapping[str, type[RankerConfig]] = {
    kind.name: kind
    for kind in (
        CnnConfig,
        DcnV2Config,
        DinConfig,
        FinalMlpConfig,
        GruConfig,
        NtnMlpConfig,
        WideDeepConfig,
        XDeepFmConfig,
    )
}
"""The sections by the names of their models. A new model needs its section in this list."""
