"""The objectives of a run: one object from the recipe through training, the losses and calibration to the bundle."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from shortlist.bundle.ranker_columns import EVENT
from shortlist.bundle.ranker_columns import VALUE as VALUE_KIND
from shortlist.bundle.ranker_columns import Objective as ServedObjective
from shortlist.inference.score_fusion import ScoreFusion
from trainer.data import Dataset
from trainer.data.impressions import Impressions
from trainer.errors import RecipeError
from trainer.recipe import LIKE, VALUE, ObjectiveConfig, Recipe

VALUE_OBJECTIVE = ObjectiveConfig(kind="value", loss_weight=0.1)
"""The objective of values that no recipe declares."""
_LEAST_SPREAD = 1e-3
_LEAST_RATE = 1e-6


@dataclass(frozen=True, kw_only=True)
class Objective:
    """An event, which the ranker predicts as log-odds, or a value, which it predicts in its own unit.

    ``mean`` and ``std`` scale the ranker's output column; the mean of an event is its initial log-odds. The score
    fusion raises the prediction to ``weight``; a call may choose another weight between ``min_weight`` and
    ``max_weight``.
    """

    name: str
    config: ObjectiveConfig
    weight: float
    mean: float = 0.0
    std: float = 1.0
    multipliable: bool = True
    """Whether all values are above 0, so that a product with other predictions keeps their order."""

    @property
    def is_value(self) -> bool:
        """Whether the ranker predicts a value and not the probability of an event."""
        return self.config.kind == VALUE_KIND

    @property
    def loss_weight(self) -> float:
        """The weight of its loss in the sum over the objectives."""
        return self.config.loss_weight

    @property
    def served(self) -> ServedObjective:
        """Its entry in a bundle's manifest."""
        return ServedObjective(
            name=self.name,
            kind=VALUE_KIND if self.is_value else EVENT,
            weight=self.weight,
            min_weight=self.config.min_weight,
            max_weight=self.config.max_weight,
            multipliable=self.multipliable,
        )

    def standardised(self, values: Tensor) -> Tensor:
        """Values in standard deviations from the mean."""
        return (values - self.mean) / self.std


@dataclass(frozen=True, kw_only=True)
class Objectives:
    """The objectives of a run, in the order of the ranker's output columns."""

    all: tuple[Objective, ...]

    @classmethod
    def of(cls, recipe: Recipe, dataset: Dataset) -> Self:
        """The objectives of a recipe; by default likes, and values where interactions have them.

        Raises:
            RecipeError: see :meth:`declared`. Or a value that reaches 0 or below has a weight beside others.
        """
        return cls._configured(recipe, dataset)._met(dataset)

    @classmethod
    def _configured(cls, recipe: Recipe, dataset: Dataset) -> Self:
        if recipe.objectives:
            return cls.declared(recipe.objectives)
        like = {LIKE: ObjectiveConfig()}
        if not np.isfinite(dataset.values).any():
            return cls.declared(like)
        return cls.declared({**like, VALUE: VALUE_OBJECTIVE})

    @classmethod
    def declared(cls, configs: Mapping[str, ObjectiveConfig]) -> Self:
        """The objectives of recipe sections by name; without a weight of its own, the first has 1 and others 0.

        Raises:
            RecipeError: a weight lies outside its bounds, or all weights are 0.
        """
        found = tuple(
            Objective(name=name, config=one, weight=float(place == 0) if one.weight is None else one.weight)
            for place, (name, one) in enumerate(configs.items())
        )
        for one in found:
            if one.weight and not one.config.min_weight <= one.weight <= one.config.max_weight:
                raise RecipeError(
                    f"[objectives.{one.name}] weight: is {one.weight:g}, not from min_weight to max_weight"
                )
        if not any(one.weight for one in found):
            raise RecipeError("[objectives]: the weight of all of them is 0, so that there is nothing to order by")
        return cls(all=found)

    def _met(self, dataset: Dataset) -> Self:
        """Finds the values that a product cannot hold."""
        found = replace(self, all=tuple(_met(one, dataset) for one in self.all))
        weighted = [one for one in found.all if one.weight]
        for one in weighted:
            if len(weighted) > 1 and not one.multipliable:
                raise RecipeError(
                    f"[objectives.{one.name}] weight: the values reach {_least_value(one, dataset):g}, and a product "
                    "of objectives cannot order values of 0 or below. Shift the column so that all are above 0, or "
                    "give this objective the only weight"
                )
        return found

    def __iter__(self) -> Iterator[Objective]:
        return iter(self.all)

    def __len__(self) -> int:
        return len(self.all)

    @property
    def names(self) -> tuple[str, ...]:
        """Their names, in the order of the columns."""
        return tuple(one.name for one in self.all)

    @property
    def served(self) -> tuple[ServedObjective, ...]:
        """Their entries in a bundle's manifest."""
        return tuple(one.served for one in self.all)

    @property
    def fusion(self) -> ScoreFusion:
        """The score fusion with the weights of the recipe."""
        return ScoreFusion.of(self.served)

    def targets(self, dataset: Dataset, events: NDArray[np.int64]) -> NDArray[np.float32]:
        """The outcome of each event, ``[events, objectives]``: 1 or 0, or a value; NaN where it was not observed.

        Raises:
            RecipeError: interactions cannot show an objective.
        """
        columns = [_targets(one, dataset, events) for one in self.all]
        return np.stack(columns, axis=1).astype(np.float32)

    def scaled_to_events(self, targets: NDArray[np.float32]) -> Self:
        """The values on the scale of their targets ``[n, objectives]``."""
        return replace(
            self,
            all=tuple(
                _value_scale(one, known, known.mean()) if one.is_value and len(known) else one
                for one, known in self._observed(targets)
            ),
        )

    def scaled_to_impressions(self, impressions: Impressions) -> Self:
        """The values on the scale of their targets, and the events from the log-odds of their mean rate."""
        return replace(self, all=tuple(_impression_scale(*one) for one in self._observed(impressions.targets)))

    def _observed(self, targets: NDArray[np.float32]) -> Iterator[tuple[Objective, NDArray[np.float32]]]:
        for one, column in zip(self.all, targets.T, strict=True):
            yield one, column[np.isfinite(column)]


def _met(objective: Objective, dataset: Dataset) -> Objective:
    return replace(objective, multipliable=not (objective.is_value and _least_value(objective, dataset) <= 0))


def _least_value(objective: Objective, dataset: Dataset) -> float:
    """The lowest value in the data; infinity when there is none."""
    values = dataset.values
    if objective.config.column is not None and dataset.impressions is not None:
        values = dataset.impressions.targets[:, dataset.impressions.objectives.index(objective.name)]
    return float(np.fmin.reduce(values, initial=np.inf))


def _targets(objective: Objective, dataset: Dataset, events: NDArray[np.int64]) -> NDArray[np.generic]:
    config = objective.config
    if config.column is not None:
        raise RecipeError(f"[objectives.{objective.name}] column: is of the impressions, and there is no such section")
    if config.events:
        return np.isin(dataset.events[events], [dataset.event_names.index(one) + 1 for one in config.events])
    return dataset.likes[events] if objective.name == LIKE else dataset.values[events]


def _impression_scale(objective: Objective, known: NDArray[np.float32]) -> Objective:
    if not len(known):
        return objective
    mean = float(known.mean(dtype=np.float64))
    if objective.is_value:
        return _value_scale(objective, known, mean)
    rate = min(max(mean, _LEAST_RATE), 1 - _LEAST_RATE)
    return replace(objective, mean=math.log(rate / (1 - rate)))


def _value_scale(objective: Objective, known: NDArray[np.float32], mean: float | np.floating) -> Objective:
    return replace(objective, mean=float(mean), std=max(float(known.std()), _LEAST_SPREAD))
