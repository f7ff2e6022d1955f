"""A recipe: all settings of a training run, read from one TOML file and checked once."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Self

import msgspec
from msgspec import Meta

from trainer.errors import RecipeError
from trainer.recipe.data import DATA_SECTIONS, OBJECTIVES, DataRecipe, data_sections, without_none
from trainer.recipe.encoders import ENCODER_CONFIGS
from trainer.recipe.models import (
    BatchSize,
    Dimension,
    EncoderConfig,
    LearningRate,
    RankerConfig,
    Regularisation,
)
from trainer.recipe.rankers import RANKER_CONFIGS
from trainer.recipe.sections import Count, Share, Text, read_section

DEFAULT_ENCODER, DEFAULT_RANKER = "transformer", "ntn_mlp"


@dataclass(frozen=True, kw_only=True)
class RatingsConfig:
    """The experiment of rating prediction, with factors of `dimension`.

    A step learns from the ratings of `batch_size` users. Its memory grows with the ratings, users and items.
    `dropout` and `regularisation` apply to the own factors of users and items. `history_regularisation` applies to the
    factors in the sums over a user's ratings and over an item's raters.

    `ordinal` is the share of the loss that is the likelihood of levels, such as 1 to 5; the rest is the squared error.
    It helps where ratings are few. With 0 the values need not be levels.
    """

    dimension: Dimension = 64
    epochs: Count = 60
    batch_size: BatchSize = 1000
    dropout: Share = 0.7
    regularisation: Regularisation = 0.3
    history_regularisation: Regularisation = 0.5
    ordinal: Annotated[float, Meta(ge=0, le=1)] = 0.5
    learning_rate: LearningRate = 0.01


@dataclass(frozen=True, kw_only=True)
class IndexConfig:
    """The fastest index with this `recall` of the ranker's `candidates` is chosen, unless `spec` names one.

    `spec` is a FAISS factory string, such as "IVF1024,SQfp16". `parameters` are those of its search, such as
    "nprobe=16"; without them, they are found for the recall.
    """

    recall: Annotated[float, Meta(ge=0.5, le=1)] = 0.99
    spec: Text | None = None
    parameters: Text | None = None

    def __post_init__(self) -> None:
        if self.parameters is not None and self.spec is None:
            raise RecipeError("parameters: needs spec; leave both out to have an index chosen")
        # They rename rows, or are searched in ways that a service cannot check.
        unserved = [kind for kind in ("IDMap", "IMI", "NSG") if kind in (self.spec or "")]
        if unserved:
            raise RecipeError(f"spec: services search no {unserved[0]}, but flat, IVF and HNSW indexes")


@dataclass(frozen=True, kw_only=True)
class StatisticsConfig:
    """The item-item tables: co-occurrence within `window` events, `decay` for each event of distance, and SLIM scores.

    Each table keeps `neighbours` items of an item. The latest `events` are counted, because memory grows with them: 5
    million take about 2.5 GB.
    """

    events: Annotated[int, Meta(ge=1, le=1_000_000_000)] = 5_000_000
    window: Count = 20
    decay: Annotated[float, Meta(ge=0, le=1)] = 0.85
    neighbours: Annotated[int, Meta(ge=1, le=100_000)] = 100


@dataclass(frozen=True, kw_only=True)
class PublishConfig:
    """A new bundle is served when its validation `metric` is at most `margin` worse than that of the served bundle.

    The default metric is two_stage/ndcg@10, with impressions two_stage/auc, and two_stage/-rmse where all objectives of
    the impressions are values. The margin is a share of the served bundle's figure: 0.05 allows 0.095 after 0.1, and
    -1.05 after -1.
    """

    metric: Text | None = None
    margin: Annotated[float, Meta(ge=0, le=1)] = 0.05


@dataclass(frozen=True, kw_only=True)
class Recipe(DataRecipe):
    """One training run: its data, its two models, and how they are indexed and published."""

    encoder: EncoderConfig
    ranker: RankerConfig
    ratings: RatingsConfig = field(default_factory=RatingsConfig)
    index: IndexConfig = field(default_factory=IndexConfig)
    statistics: StatisticsConfig = field(default_factory=StatisticsConfig)
    publish: PublishConfig = field(default_factory=PublishConfig)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a TOML file.

        Raises:
            RecipeError: names the file, the section, the key and its accepted values.
        """
        try:
            raw = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise RecipeError(f"{path}: cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise RecipeError(f"{path}: not TOML: {error}") from error
        try:
            return cls.of(raw)
        except RecipeError as error:
            raise RecipeError(f"{path}, {error}") from error

    def plain(self) -> dict[str, Any]:
        """The recipe as JSON holds it."""
        plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self))
        return plain

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Self:
        """The recipe of these sections, or of those that :meth:`plain` gave. Raises RecipeError."""
        raw = without_none(raw)
        sections = [*DATA_SECTIONS, OBJECTIVES, "encoder", "ranker", *_OTHERS]
        for name in raw:
            if name not in sections:
                raise RecipeError(f"[{name}]: no such section; sections are {', '.join(sections)}")
        return cls(
            encoder=_model("encoder", ENCODER_CONFIGS, DEFAULT_ENCODER, raw),
            ranker=_model("ranker", RANKER_CONFIGS, DEFAULT_RANKER, raw),
            **data_sections(raw),
            **{name: read_section(name, _OTHERS[name], raw[name]) for name in _OTHERS if name in raw},
        )


_OTHERS: Mapping[str, type[Any]] = {
    "ratings": RatingsConfig,
    "index": IndexConfig,
    "statistics": StatisticsConfig,
    "publish": PublishConfig,
}


def _model(section: str, kinds: Mapping[str, type[Any]], default: str, raw: Mapping[str, Any]) -> Any:  # noqa: ANN401
    given = raw.get(section, {})
    name = given.get("name", default) if isinstance(given, Mapping) else default
    if isinstance(name, str) and name not in kinds:
        raise RecipeError(f"[{section}] name: no {section} {name!r}; there are {', '.join(sorted(kinds))}")
    return read_section(section, kinds[name if isinstance(name, str) else default], given)


DEFAULT_RECIPE = Recipe.of({})
