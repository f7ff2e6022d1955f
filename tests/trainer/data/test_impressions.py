"""Reading what was shown: the arrays, and every kind of bad data that is refused."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from trainer.data import Dataset, load
from trainer.data.impressions import Impressions
from trainer.data.time_texts import SECOND
from trainer.errors import DataError, RecipeError
from trainer.recipe import DataRecipe, ImpressionsConfig, InteractionsConfig, ObjectiveConfig

DONE = {"user_id": ["u", "v", "v"], "item_id": ["a", "b", "c"], "timestamp": [1, 2, 3]}
SHOWN: Mapping[str, list[Any]] = {
    "user_id": ["v", "u", "nobody", "u"],
    "item_id": ["c", "a", "b", "nothing"],
    "timestamp": [30, 10, 20, 5],
    "device": ["tv", None, "phone", "tv"],
    "hour": [None, 6.0, 12.0, 9.0],
    "place": [0, 3, None, 1],
    "clicked": [1, 0, None, 1],
    "stars": [2.5, None, 4.0, 1.0],
}
SECTION = ImpressionsConfig(categorical=("device",), numeric=("hour",), position="place")
OBJECTIVES = {"click": ObjectiveConfig(column="clicked"), "rating": ObjectiveConfig(kind="value", column="stars")}


def read(folder: Path, columns: Mapping[str, list[Any]], recipe: DataRecipe | None = None) -> Dataset:
    """The data set of two tables."""
    pl.DataFrame(DONE).write_parquet(folder / "interactions.parquet")
    pl.DataFrame(columns).write_parquet(folder / "impressions.parquet")
    return load(folder, recipe or DataRecipe(impressions=SECTION, objectives=OBJECTIVES))


@pytest.fixture
def shown(tmp_path: Path) -> Impressions:
    """The impressions above."""
    found = read(tmp_path, SHOWN).impressions
    assert found is not None
    return found


def test_impressions_are_rows_in_time_order(shown: Impressions) -> None:
    """Proves each array: a stranger is -1, an unknown item's row is left out and counted, what is missing is NaN."""
    assert shown.times.tolist() == [10 * SECOND, 20 * SECOND, 30 * SECOND]
    assert shown.places.tolist() == [1, 2, 0]
    assert shown.user_rows.tolist() == [0, -1, 1]
    assert shown.item_rows.tolist() == [0, 1, 2]
    assert shown.positions.tolist() == [3, -1, 0]
    assert shown.unknown_items == 1
    assert (shown.objectives, shown.is_value.tolist()) == (("click", "rating"), [False, True])
    np.testing.assert_array_equal(shown.targets, np.array([[0, np.nan], [np.nan, 4], [1, 2.5]], dtype=np.float32))
    assert [shown.until(time * SECOND) for time in (10, 11, 30, 31)] == [0, 1, 2, 3]


def test_a_context_is_what_the_services_make_of_it(shown: Impressions) -> None:
    """Proves columns of known categories and scaled numbers; what is absent is the mean of what was learnt from, and a
    category that was never learnt from is zeros."""
    columns = shown.context.at(np.array([0, 1])).learnt_columns()
    assert [(column.name, column.width) for column in columns] == [("device", 1), ("hour", 2)]
    assert columns[0].categories == ("phone",)
    expected = np.array([[1, -1, 1], [1, 1, 1], [0, 0, 1]], dtype=np.float32)
    np.testing.assert_allclose(shown.context.encoded(columns), expected)


def test_without_times_rows_keep_the_order_of_the_file(tmp_path: Path) -> None:
    """Proves that no column of times is needed where the interactions have none."""
    columns = {name: column for name, column in SHOWN.items() if name != "timestamp"}
    recipe = DataRecipe(interactions=InteractionsConfig(rows_in_order=True), impressions=SECTION, objectives=OBJECTIVES)
    found = read(tmp_path, columns, recipe).impressions
    assert found is not None
    assert found.places.tolist() == [0, 1, 2]
    assert not found.times.any()


def test_outcomes_may_be_words(tmp_path: Path) -> None:
    """Proves that true and false of a text table are outcomes, as booleans of Parquet are."""
    given = [
        read(tmp_path, {**SHOWN, "clicked": cells}) for cells in (["true", "FALSE", " false", "True"], [1, 0, 0, 1])
    ]
    words, numbers = (data.impressions for data in given)
    assert words is not None
    assert numbers is not None
    np.testing.assert_array_equal(words.targets, numbers.targets)


@pytest.mark.parametrize(
    ("column", "cells", "message"),
    [
        ("clicked", [1, 0, 2, 1], "column 'clicked': neither 0 nor 1 in 1 of 4 rows; first row 3: 2"),
        ("clicked", ["yes", "no", "no", "no"], "column 'clicked': no finite number in 4 of 4 rows"),
        ("place", [0, -1, 2, 1], "column 'place': no whole number from 0 to 2^63 - 1 in 1 of 4 rows; first row 2: -1"),
        ("timestamp", [30, None, 20, 5], "column 'timestamp': not unix seconds"),
        ("hour", ["noon", None, None, None], "column 'hour': no finite number in 1 of 4 rows"),
        ("user_id", ["v", None, "u", "u"], "column 'user_id': no id of 1 to 256 bytes"),
        ("item_id", ["x", "y", "z", "z"], "none of its 3 ids is among the 3 items of the interactions"),
        ("user_id", ["x", "y", "z", "z"], "none of its 3 ids is among the 2 users of the interactions"),
    ],
)
def test_bad_cells_are_refused(tmp_path: Path, column: str, cells: list[Any], message: str) -> None:
    """Proves that the file, the column and the rows are named."""
    with pytest.raises(DataError, match=r"impressions\.parquet") as refused:
        read(tmp_path, {**SHOWN, column: cells})
    assert message in str(refused.value)


@pytest.mark.parametrize("column", ["user_id", "clicked", "device", "place"])
def test_a_missing_column_is_named(tmp_path: Path, column: str) -> None:
    """Proves it, with those that are there."""
    with pytest.raises(DataError, match=f"no column '{column}'; columns are"):
        read(tmp_path, {name: cells for name, cells in SHOWN.items() if name != column})


@pytest.mark.parametrize(
    ("objectives", "message"),
    [
        ({}, r"\[impressions\]: needs objectives"),
        ({"like": ObjectiveConfig()}, r"\[objectives.like\] column: is missing"),
    ],
)
def test_an_objective_is_a_column(tmp_path: Path, objectives: Mapping[str, ObjectiveConfig], message: str) -> None:
    """Proves that an objective that impressions cannot have is refused."""
    with pytest.raises(RecipeError, match=message):
        read(tmp_path, SHOWN, DataRecipe(impressions=SECTION, objectives=objectives))
