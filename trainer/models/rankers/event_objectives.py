"""The objectives of a log with several kinds of events, where the recipe declares none: one for each kind.

The score fusion raises the prediction of a kind to its weight. That is the share of its pairs of user and item which
reach a positive event, at the same time or later. Without `positive_events` the rarest kind stands for them. So a rarer
and later step of a funnel weighs more, up to 1: as much as it says about a positive event. The log itself gives the
rates, since those of another shop would not fit.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from trainer.data import Dataset
from trainer.data.questions import LEAST_QUESTIONS, questions_by_event
from trainer.models.rankers.objectives import VALUE_OBJECTIVE
from trainer.recipe import VALUE, ObjectiveConfig, Recipe


def with_event_objectives(recipe: Recipe, dataset: Dataset) -> Recipe:
    """The recipe with an objective for each kind of event that has enough questions, by falling weight.

    Enough are as many as fill the ranker's slice with ``LEAST_QUESTIONS``. The recipe stays as it is when it declares
    objectives, or when likes depend on a value. So it does when only one kind, or no positive one, has enough.
    """
    if recipe.objectives or recipe.impressions is not None or recipe.interactions.positive_value is not None:
        return recipe
    least = LEAST_QUESTIONS / recipe.split.ranker
    kinds = [name for name, asked in questions_by_event(dataset) if asked.sum() >= least]
    weights = _weights(dataset, kinds, recipe.interactions.positive_events or kinds[-1:])
    if len(weights) < 2:
        return recipe
    objectives = {name: ObjectiveConfig(events=(name,), weight=weight) for name, weight in weights.items()}
    if np.isfinite(dataset.values).any():
        objectives.setdefault(VALUE, VALUE_OBJECTIVE)
    return replace(recipe, objectives=objectives)


def _weights(dataset: Dataset, kinds: list[str], positive: tuple[str, ...] | list[str]) -> Mapping[str, float]:
    """The weight of each kind, the highest first; none when no kind is positive."""
    if not set(kinds) & set(positive):
        return {}
    weights = {name: 1.0 if name in positive else round(_conversion(dataset, name, positive), 3) for name in kinds}
    return dict(sorted(weights.items(), key=lambda one: -one[1]))


def _conversion(dataset: Dataset, name: str, positive: tuple[str, ...] | list[str]) -> float:
    """The share of the pairs with an event ``name`` that have a positive event at its first time or later."""
    pairs, times = _pairs(dataset, [name])
    pairs, first = np.unique(pairs, return_index=True)
    # In reverse, so that the first of each pair is its last.
    reached, ends = (column[::-1] for column in _pairs(dataset, positive))
    reached, last = np.unique(reached, return_index=True)
    place = np.minimum(np.searchsorted(reached, pairs), len(reached) - 1)
    return float(((reached[place] == pairs) & (ends[last][place] >= times[first])).mean())


def _pairs(dataset: Dataset, names: tuple[str, ...] | list[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A number for the user and the item of each event of these names, in time order, and their times."""
    events = np.flatnonzero(np.isin(dataset.events, [dataset.event_names.index(one) + 1 for one in names]))
    return dataset.user_rows[events] * len(dataset.item_ids) + dataset.item_rows[events], dataset.times[events]
