"""What a search for better settings may try: stated beside the recipe's keys, and which of them by each encoder."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import optuna

from trainer.errors import RecipeError
from trainer.models.encoders import encoder_class
from trainer.recipe import EncoderConfig, Recipe
from trainer.recipe.keys import Choices, Range

Settings = Mapping[str, int | float]


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """The keys of [encoder] that are tried, and between what."""

    keys: Mapping[str, Range | Choices]

    @classmethod
    def of(cls, recipe: Recipe) -> "SearchSpace":
        """That of the recipe's encoder, with its own settings, and only such choices as go with the rest of the recipe.

        Raises:
            RecipeError: there is no encoder of that name.
        """
        stated = {field.name: field.metadata["tuned"] for field in fields(EncoderConfig) if "tuned" in field.metadata}
        encoder = encoder_class(recipe.encoder)
        stated |= encoder.tuned_otherwise
        return cls(keys={key: _possible(recipe, key, stated[key]) for key in encoder.tuned})

    def suggest(self, trial: optuna.Trial) -> Settings:
        """What a trial is to try."""
        return {key: _suggest(trial, key, tried) for key, tried in self.keys.items()}

    def base(self, recipe: Recipe) -> Settings:
        """The recipe's own settings, but for a zero where powers of ten are tried."""
        own = {key: getattr(recipe.encoder, key) for key in self.keys}
        return {key: value for key, value in own.items() if self.keys[key].has(value)}


def with_settings(recipe: Recipe, settings: Settings) -> Recipe:
    """The recipe with other settings of its encoder. Raises RecipeError when they do not go together."""
    raw = recipe.plain()
    return Recipe.of({**raw, "encoder": {**raw["encoder"], **settings}})


def _possible(recipe: Recipe, key: str, tried: Range | Choices) -> Range | Choices:
    own = getattr(recipe.encoder, key)
    if isinstance(tried, Choices):
        return Choices(*sorted({own, *(value for value in tried.values if _goes_with(recipe, {key: value}))}))
    if tried.log and own <= 0:
        return tried
    return replace(tried, low=min(tried.low, own), high=max(tried.high, own))


def _goes_with(recipe: Recipe, settings: Settings) -> bool:
    try:
        with_settings(recipe, settings)
    except RecipeError:
        return False
    return True


def _suggest(trial: optuna.Trial, key: str, tried: Range | Choices) -> Any:  # noqa: ANN401 - as the key's type
    if isinstance(tried, Choices):
        return trial.suggest_categorical(key, tried.values)
    return trial.suggest_float(key, tried.low, tried.high, log=tried.log)
