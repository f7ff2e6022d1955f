"""What the ranker predicts, and what is known of it."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from shortlist.bundle.ranker_columns import Objective
from trainer.data import Dataset
from trainer.errors import RecipeError
from trainer.models.rankers import ObjectiveScale
from trainer.recipe import LIKE, VALUE, ObjectiveConfig, Recipe

_VALUE_WEIGHT = 0.1
Objectives = Mapping[str, ObjectiveConfig]


def objectives_of(recipe: Recipe, dataset: Dataset) -> Objectives:
    """The objectives of a recipe; where it has none, the like, and the value where interactions have one."""
    if recipe.objectives:
        return recipe.objectives
    like = {LIKE: ObjectiveConfig()}
    if not np.isfinite(dataset.values).any():
        return like
    return {**like, VALUE: ObjectiveConfig(kind="value", loss_weight=_VALUE_WEIGHT)}


def served_objectives(objectives: Objectives) -> tuple[Objective, ...]:
    """As a bundle has them; the first alone makes the order, unless the recipe says otherwise.

    Raises:
        RecipeError: none of them counts in the order.
    """
    served = tuple(
        Objective(
            name=name,
            kind=objective.kind,
            weight=float(place == 0) if objective.weight is None else objective.weight,
            min_weight=objective.min_weight,
            max_weight=objective.max_weight,
        )
        for place, (name, objective) in enumerate(objectives.items())
    )
    for objective in served:
        if objective.weight and not objective.min_weight <= objective.weight <= objective.max_weight:
            raise RecipeError(
                f"[objectives.{objective.name}] weight: is {objective.weight:g}, not from min_weight to max_weight"
            )
    if not any(objective.weight for objective in served):
        raise RecipeError("[objectives]: the weight of all of them is 0, so that there is nothing to order by")
    return served


def targets_of_events(objectives: Objectives, dataset: Dataset, events: NDArray[np.int64]) -> NDArray[np.float32]:
    """What came of each event: 1 or 0, or the value, ``[events, objectives]``; NaN where it was not observed.

    Raises:
        RecipeError: an objective cannot be seen in interactions.
    """
    columns = [_targets(name, objective, dataset, events) for name, objective in objectives.items()]
    return np.stack(columns, axis=1).astype(np.float32)


def _targets(name: str, objective: ObjectiveConfig, dataset: Dataset, events: NDArray[np.int64]) -> NDArray[np.generic]:
    if objective.column is not None:
        raise RecipeError(f"[objectives.{name}] column: is of the impressions, and there is no such section")
    if objective.events:
        unknown = set(objective.events) - set(dataset.event_names)
        if unknown:
            raise RecipeError(f"[objectives.{name}] events: the data has no {', '.join(sorted(unknown))}")
        return np.isin(dataset.events[events], [dataset.event_names.index(one) + 1 for one in objective.events])
    return dataset.likes[events] if name == LIKE else dataset.values[events]


def scales_of(objectives: Objectives, targets: NDArray[np.float32]) -> tuple[ObjectiveScale, ...]:
    """The objectives as the ranker predicts them, a value on the scale of the targets ``[n, objectives]``."""
    return tuple(
        _value_scale(name, column) if objective.kind == "value" else ObjectiveScale(name=name)
        for (name, objective), column in zip(objectives.items(), targets.T, strict=True)
    )


def _value_scale(name: str, targets: NDArray[np.float32]) -> ObjectiveScale:
    known = targets[np.isfinite(targets)]
    if not len(known):
        return ObjectiveScale(name=name, is_value=True)
    return ObjectiveScale(name=name, is_value=True, mean=float(known.mean()), std=max(float(known.std()), 1e-3))
