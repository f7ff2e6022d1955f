"""Values of columns that no service takes, and those that mean nothing."""

import math

import numpy as np
import pytest

from shortlist.bundle.item_columns import (
    CategoricalColumn,
    ItemColumns,
    MultiValuedColumn,
    NumericColumn,
    Scale,
    TextArrays,
    TextColumn,
    VectorColumn,
)
from shortlist.errors import InvalidRequest
from shortlist.inference.column_readers import ItemValue
from shortlist.inference.featuriser import ItemFeaturiser

_ARRAYS = TextArrays(idf=np.array([1.0, 2.0]), directions=np.array([[0.6, 0.8]]))
_FEATURISER = ItemFeaturiser(
    ItemColumns(
        categorical=(CategoricalColumn(name="kind", values=("1995", "film")),),
        multi_valued=(MultiValuedColumn(name="tags", values=("x", "y"), separator="|"),),
        numeric=(NumericColumn(name="year", scale=Scale(mean=1990.0, deviation=10.0), edges=(1985.0,)),),
        text=(
            TextColumn(name="title", is_list=False, words=("red", "sky"), directions=1),
            TextColumn(name="words", is_list=True, words=("red", "sky"), directions=1),
        ),
        sentences=(VectorColumn(name="title", length=2),),
        vectors=(VectorColumn(name="cover", length=2),),
        text_arrays=(_ARRAYS, _ARRAYS),
    )
)
_COLUMNS = "kind, tags, year, title, words, title (sentences), cover"


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("genre", "x", f"is no column; columns are {_COLUMNS}"),
        ("kind", 1995.5, "has to be one text, or a whole number; give any other number as the item table's text of it"),
        ("kind", math.inf, "has to be one text"),
        ("kind", True, "has to be one text"),
        ("kind", ["film"], "has to be one text"),
        ("tags", 1.5, "has to be a list of texts"),
        ("tags", ["x", 1.0], "has to be a list of texts"),
        ("year", "new", "has to be one number"),
        ("year", "1_990", "has to be one number"),
        ("year", "nan", "has to be one number"),
        ("year", True, "has to be one number"),
        ("year", [1990.0], "has to be one number"),
        ("year", math.nan, "not finite in 32 bits"),
        ("year", math.inf, "not finite in 32 bits"),
        ("year", 1e39, "not finite in 32 bits"),
        ("year", 10**400, "too large"),
        ("title", 5.0, "has to be one text"),
        ("title", ["red"], "has to be one text, as the item table has it"),
        ("words", "red sky", "has to be a list of words, as the item table has it"),
        ("title (sentences)", "red sky", "holds the embedding of a text, not the text"),
        (
            "title (sentences)",
            [3.0, 4.0],
            "holds an embedding of length 5; the recipe's sentence model gives length one",
        ),
        ("title (sentences)", [1.0], "has to be a list of 2 numbers, not of 1"),
        ("cover", "0 1", "has to be a list of 2 numbers"),
        ("cover", 1.0, "has to be a list of 2 numbers"),
        ("cover", [1.0, 2.0, 3.0], "has to be a list of 2 numbers, not of 3"),
        ("cover", [1.0, "2"], "has to be a list of 2 numbers"),
        ("cover", [1.0, math.nan], "not finite in 32 bits"),
    ],
)
def test_a_value_of_another_kind_is_refused_by_its_column(name: str, value: ItemValue, reason: str) -> None:
    """Proves that the violation names the column and its kind."""
    with pytest.raises(InvalidRequest) as caught:
        _FEATURISER.row({name: value, "cover": [0.0, 1.0]} if name != "cover" else {name: value})
    (violation,) = caught.value.violations
    assert violation.field == f"columns[{name!r}]"
    assert reason in violation.description


def test_all_bad_columns_are_named_at_once() -> None:
    """Proves that a caller mends an item in one round."""
    with pytest.raises(InvalidRequest) as caught:
        _FEATURISER.row({"genre": "x", "year": "new", "kind": "film"})
    assert [one.field for one in caught.value.violations] == ["columns['genre']", "columns['year']"]


def test_a_value_that_is_missing_or_unknown_is_zeros() -> None:
    """Proves it of None, unknown categories and unknown words in every column, beside the known ones."""
    assert not _FEATURISER.row({}).any()
    nothing = {"kind": "song", "tags": ["z", ""], "year": None, "title": "blue", "words": [], "cover": None}
    assert not _FEATURISER.row(nothing).any()
    row = _FEATURISER.row({"kind": " 1995 ", "tags": "y|z| y", "year": "1995", "title": "RED red?", "cover": [3, 4]})
    assert row.tolist() == [1, 0, 0, 1, 0.5, 0, 1, np.float32(0.6), 0, 0, 0, 3, 4]
    assert _FEATURISER.width == len(row)
    np.testing.assert_array_equal(_FEATURISER.row({"kind": 1995.0}), _FEATURISER.row({"kind": "1995"}))


def test_a_number_too_far_from_the_training_data_is_refused() -> None:
    """Proves that no feature is infinite, where the deviation is tiny."""
    tiny = ItemFeaturiser(ItemColumns(numeric=(NumericColumn(name="x", scale=Scale(mean=0.0, deviation=1e-30)),)))
    assert np.isfinite(tiny.row({"x": 1.0})).all()
    with pytest.raises(InvalidRequest, match="too far from all numbers of the training data"):
        tiny.row({"x": 1e30})
