"""A recipe: all settings of a training run, read from one TOML file and checked once."""

from trainer.recipe.bad_rows import DataConfig
from trainer.recipe.data import (
    LIKE,
    OBJECTIVES_OF_INTERACTIONS,
    VALUE,
    DataRecipe,
    FeatureColumns,
    ImpressionsConfig,
    InteractionsConfig,
    ItemsConfig,
    ObjectiveConfig,
    SplitConfig,
    UsersConfig,
    read_data,
)
from trainer.recipe.models import EncoderConfig, RankerConfig
from trainer.recipe.recipe import DEFAULT_RECIPE, IndexConfig, PublishConfig, RatingsConfig, Recipe, StatisticsConfig

__all__ = [
    "DEFAULT_RECIPE",
    "LIKE",
    "OBJECTIVES_OF_INTERACTIONS",
    "VALUE",
    "DataConfig",
    "DataRecipe",
    "EncoderConfig",
    "FeatureColumns",
    "ImpressionsConfig",
    "IndexConfig",
    "InteractionsConfig",
    "ItemsConfig",
    "ObjectiveConfig",
    "PublishConfig",
    "RankerConfig",
    "RatingsConfig",
    "Recipe",
    "SplitConfig",
    "StatisticsConfig",
    "UsersConfig",
    "read_data",
]
