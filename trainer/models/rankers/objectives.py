"""What the ranker predicts, and what is known of it."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from shortlist.bundle.ranker_columns import Goal as ServedGoal
from trainer.data import Dataset
from trainer.errors import RecipeError
from trainer.models.rankers import GoalScale
from trainer.recipe import LIKE, VALUE, Goal, Recipe

_VALUE_WEIGHT = 0.1
Goals = Mapping[str, Goal]


def goals_of(recipe: Recipe, dataset: Dataset) -> Goals:
    """The goals of a recipe; where it has none, the like, and the value where interactions have one."""
    if recipe.goals:
        return recipe.goals
    like = {LIKE: Goal()}
    if not np.isfinite(dataset.values).any():
        return like
    return {**like, VALUE: Goal(kind="value", weight=_VALUE_WEIGHT)}


def served_goals(goals: Goals) -> tuple[ServedGoal, ...]:
    """As a bundle has them; the first alone makes the order, unless the recipe says otherwise.

    Raises:
        RecipeError: none of them counts in the order.
    """
    served = tuple(
        ServedGoal(
            name=name,
            kind=goal.kind,
            power=float(place == 0) if goal.power is None else goal.power,
            least_power=goal.least_power,
            most_power=goal.most_power,
        )
        for place, (name, goal) in enumerate(goals.items())
    )
    for goal in served:
        if goal.power and not goal.least_power <= goal.power <= goal.most_power:
            raise RecipeError(
                f"[goals.{goal.name}] power: is {goal.power:g}, which is not from least_power to most_power"
            )
    if not any(goal.power for goal in served):
        raise RecipeError("[goals]: the power of all of them is 0, so that there is nothing to order by")
    return served


def targets_of_events(goals: Goals, dataset: Dataset, events: NDArray[np.int64]) -> NDArray[np.float32]:
    """What came of each event: 1 or 0, or the value, ``[events, goals]``; NaN where it was not observed.

    Raises:
        RecipeError: a goal cannot be seen in interactions.
    """
    columns = [_targets(name, goal, dataset, events) for name, goal in goals.items()]
    return np.stack(columns, axis=1).astype(np.float32)


def _targets(name: str, goal: Goal, dataset: Dataset, events: NDArray[np.int64]) -> NDArray[np.generic]:
    if goal.column is not None:
        raise RecipeError(f"[goals.{name}] column: is of the impressions, and there is no such section")
    if goal.events:
        unknown = set(goal.events) - set(dataset.event_names)
        if unknown:
            raise RecipeError(f"[goals.{name}] events: the data has no {', '.join(sorted(unknown))}")
        return np.isin(dataset.events[events], [dataset.event_names.index(one) + 1 for one in goal.events])
    return dataset.likes[events] if name == LIKE else dataset.values[events]


def scales_of(goals: Goals, targets: NDArray[np.float32]) -> tuple[GoalScale, ...]:
    """The goals as the ranker predicts them, a value on the scale of the targets ``[n, goals]``."""
    return tuple(
        _value_scale(name, column) if goal.kind == "value" else GoalScale(name=name)
        for (name, goal), column in zip(goals.items(), targets.T, strict=True)
    )


def _value_scale(name: str, targets: NDArray[np.float32]) -> GoalScale:
    known = targets[np.isfinite(targets)]
    if not len(known):
        return GoalScale(name=name, is_value=True)
    return GoalScale(name=name, is_value=True, mean=float(known.mean()), std=max(float(known.std()), 1e-3))
