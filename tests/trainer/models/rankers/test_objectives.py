"""Objectives of a recipe that meet the data."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from ranking_service.options import OptionsReader
from shortlist.bundle import Bundle
from shortlist.errors import InvalidRequest
from trainer.data import Dataset
from trainer.errors import RecipeError
from trainer.models.rankers.objectives import Objectives
from trainer.recipe import DEFAULT_RECIPE, ObjectiveConfig

Row = tuple[str, str, int, float]
LIKE, VALUE = ObjectiveConfig(weight=1), ObjectiveConfig(kind="value", weight=1)


def dataset(dataset_of: Callable[[Sequence[Row]], Dataset], least: float) -> Dataset:
    """Two events, one of which has this value."""
    return dataset_of([("u", "i", 1, 5.0), ("v", "j", 2, least)])


@pytest.mark.parametrize("least", [0.0, -6.5])
def test_values_that_a_product_cannot_order_are_refused_in_one(
    dataset_of: Callable[[Sequence[Row]], Dataset], least: float
) -> None:
    """Proves that the recipe meets the data before the training, and that such a value may order alone."""
    data = dataset(dataset_of, least)
    both = replace(DEFAULT_RECIPE, objectives={"like": LIKE, "value": VALUE})
    with pytest.raises(RecipeError, match=rf"\[objectives.value\] weight: the values reach {least:g}"):
        Objectives.of(both, data)
    for alone in ({"value": VALUE}, {"like": LIKE, "value": replace(VALUE, weight=0)}):
        assert not Objectives.of(replace(both, objectives=alone), data).served[-1].multipliable
    assert Objectives.of(both, dataset(dataset_of, 0.5)).served[-1].multipliable


def test_a_call_may_not_multiply_such_values_either(small_bundle: Bundle) -> None:
    """Proves that a call names the objective alone, or is told why not."""
    manifest = small_bundle.manifest
    event = replace(manifest.objectives[0], name="like", kind="event", max_weight=4.0)
    value = replace(event, name="value", kind="value", multipliable=False)
    reader = OptionsReader(replace(manifest, objectives=(event, value)))
    assert reader.read({"value": 1.0, "like": 0.0}, {}).fusion.weights == (0.0, 1.0)
    with pytest.raises(InvalidRequest, match=r"'value'.* give it the only weight"):
        reader.read({"like": 1.0, "value": 1.0}, {})
