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
from trainer.recipe.models import EncoderConfig, ModelConfigs, RankerConfig
from trainer.recipe.recipe import IndexConfig, PublishConfig, RatingsConfig, Recipe, StatisticsConfig

__all__ = [
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
    "ModelConfigs",
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
