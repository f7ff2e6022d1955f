"""The search space of a recipe: the keys of its encoder's section that declare tried values."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import optuna

from trainer.errors import RecipeError
from trainer.recipe import Recipe
from trainer.recipe.models import Choices, Range, tuned_keys

Settings = Mapping[str, int | float]


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """The keys of [encoder] that a search varies, each with the values it tries."""

    keys: Mapping[str, Range | Choices]

    @classmethod
    def of(cls, recipe: Recipe) -> "SearchSpace":
        """The space of the recipe's encoder. It includes the recipe's own settings.

        Choices that do not go with the rest of the recipe are left out.
        """
        tuned = tuned_keys(type(recipe.encoder))
        return cls(keys={key: _possible(recipe, key, tried) for key, tried in tuned.items()})

    def suggest(self, trial: optuna.Trial) -> Settings:
        """The settings of a trial."""
        return {key: _suggest(trial, key, tried) for key, tried in self.keys.items()}

    def base(self, recipe: Recipe) -> Settings:
        """The recipe's own settings, without a zero where a search tries powers of ten."""
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
