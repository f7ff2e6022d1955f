"""Feature columns: planted tables whose features are known."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
import polars as pl
import pytest

from trainer.data.columns import features, parsed
from trainer.data.dataset import Features
from trainer.data.learnt_columns import LearntColumns
from trainer.data.table import Table
from trainer.errors import DataError
from trainer.export.column_arrays import as_arrays, of_arrays
from trainer.recipe import ItemsConfig


def table(**columns: object) -> Table:
    """An item table of these columns."""
    return Table(name="items.csv", frame=pl.DataFrame(columns))


def multi_hot(lists: list[list[str | None] | None]) -> Features:
    """The features of a column of lists."""
    columns = ItemsConfig(multi_valued=("tags",))
    return features(parsed(table(item_id=list(range(len(lists))), tags=lists), columns), columns)


def numeric(numbers: Sequence[float | None]) -> Features:
    """The features of a column of numbers."""
    columns = ItemsConfig(numeric=("x",))
    given = pl.Series(numbers, dtype=pl.Float32)
    return features(parsed(table(item_id=list(range(len(numbers))), x=given), columns), columns)


def text(texts: Sequence[str | None]) -> Features:
    """The features of a column of texts."""
    columns = ItemsConfig(text=("title",))
    given = pl.Series(texts, dtype=pl.String)
    return features(parsed(table(item_id=list(range(len(texts))), title=given), columns), columns)


def test_lists_become_ones_under_their_names() -> None:
    """Proves that each value has one column, sorted by name, and that repeats, blanks and nulls add nothing."""
    built = multi_hot([["b", " a ", "b"], [], None, ["a", "", None]])
    assert built.names == ("tags=a", "tags=b")
    assert built.matrix.tolist() == [[1, 1], [0, 0], [0, 0], [1, 0]]


def test_the_most_frequent_256_categories_are_kept_and_ties_go_by_name() -> None:
    """Proves the cap: of 300 categories, the one seen twice and the first 255 by name have columns."""
    names = [f"c{number:03}" for number in range(300)]
    built = multi_hot([[name] for name in [*names, "c299"]])
    assert built.names == tuple(f"tags={name}" for name in (*names[:255], "c299"))
    assert built.matrix.sum() == 257


def test_numbers_are_standardised_and_binned_and_zero_where_missing() -> None:
    """Proves mean 0 and deviation 1 of what is there, one bin each, rising with the number, and a zero row for null."""
    built = numeric([*range(16), None])
    assert built.names == ("x", *(f"x[{position}]" for position in range(8)))
    assert built.matrix[:16, 0].mean() == pytest.approx(0, abs=1e-6)
    assert built.matrix[:16, 0].std() == pytest.approx(1)
    assert built.matrix[:16, 1:].argmax(axis=1).tolist() == sorted([*range(8), *range(8)])
    assert not built.matrix[16].any()


def test_fewer_distinct_numbers_have_fewer_bins() -> None:
    """Proves that no bin is empty: two numbers have two bins, one number has one and no deviation."""
    assert numeric([1.0, 1.0, 5.0]).names == ("x", "x[0]", "x[1]")
    assert numeric([0.1] * 3).matrix.round(6).tolist() == [[0, 1]] * 3
    assert numeric([None, None]).matrix.shape == (2, 0)


def test_texts_that_share_tokens_are_close_and_others_are_not() -> None:
    """Proves that the text columns carry the tokens in common, whatever their case, and that no token gives zeros."""
    built = text(["Star Wars", "STAR wars!", "Blue Sky", "blue sky", "alone", None])
    likeness = built.matrix @ built.matrix.T
    assert likeness[0, 1] == pytest.approx(1, abs=1e-5)
    assert likeness[2, 3] == pytest.approx(1, abs=1e-5)
    assert likeness[0, 2] == pytest.approx(0, abs=1e-5)
    assert not built.matrix[4:].any()
    assert built.names == tuple(f"title~{position}" for position in range(built.matrix.shape[1]))


def test_text_columns_are_the_same_every_time() -> None:
    """Proves equality to the bit, and signs that do not depend on the order of the rows."""
    rng = np.random.default_rng(3)
    titles = [" ".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), 4)) for _ in range(200)]
    first, second, turned = text(titles), text(titles), text(titles[::-1])
    assert first.matrix.shape == (200, 16)
    assert np.array_equal(first.matrix, second.matrix)
    assert np.allclose(first.matrix, turned.matrix[::-1], atol=1e-4)


@pytest.mark.parametrize("titles", [["one", "two"], ["same", "same"], [None, None]])
def test_too_few_tokens_give_no_columns(titles: list[str | None]) -> None:
    """Proves that texts with fewer than two tokens in two rows are left out rather than decomposed."""
    assert text(titles).matrix.shape == (2, 0)


def test_content_columns_are_the_categories() -> None:
    """Proves which columns can match what a user has liked, and that kinds stand beside names."""
    columns = ItemsConfig(categorical=("kind",), multi_valued=("tags",), numeric=("year",))
    given = table(item_id=["1", "2"], kind=["x", None], tags=["a|b", "b"], year=["1990", None])
    built = features(parsed(given, columns), columns)
    assert built.names == ("kind=x", "tags=a", "tags=b", "year", "year[0]")
    assert built.is_content.tolist() == [True, True, True, False, False]
    assert built.matrix.tolist() == [[1, 1, 1, 0, 1], [0, 0, 1, 0, 0]]


def test_a_column_of_two_kinds_is_two_columns() -> None:
    """Proves that a ranker of groups gives each kind one of its own, where their features stand side by side, too."""
    columns = ItemsConfig(categorical=("title",), text=("title",), directions=1)
    built = features(parsed(table(item_id=[1, 2, 3], title=["red sky", "red sky", "sky red"]), columns), columns)
    assert built.columns == {"title": slice(0, 2), "title (text)": slice(2, 3)}


def test_a_table_without_feature_columns_has_none() -> None:
    """Proves that the matrix keeps its rows when there is nothing to describe them."""
    assert features(parsed(table(item_id=[1, 2]), ItemsConfig()), ItemsConfig()).matrix.shape == (2, 0)


def test_text_in_a_numeric_column_is_refused() -> None:
    """Proves that what is no number is reported by row, where an empty cell is only missing."""
    with pytest.raises(
        DataError, match=r"items.csv, column 'year': no finite number in 2 of 4 rows; first row 3: 'new'"
    ):
        parsed(table(item_id=[1, 2, 3, 4], year=["1990", None, "new", "inf"]), ItemsConfig(numeric=("year",)))


def test_an_item_that_is_there_twice_is_refused() -> None:
    """Proves that a row of the dataset never has two descriptions."""
    with pytest.raises(
        DataError, match=r"'item_id': an id that is there more than once in 2 of 3 rows; first row 1: 'a'"
    ):
        parsed(table(item_id=["a", "b", "a"]), ItemsConfig())


def test_columns_of_another_type_are_refused() -> None:
    """Proves that nested and odd columns are named, not handed to polars."""
    odd = ("odd",)
    for columns in (
        ItemsConfig(categorical=odd),
        ItemsConfig(text=odd),
        ItemsConfig(numeric=odd),
        ItemsConfig(vectors=odd),
    ):
        with pytest.raises(DataError, match=r"items.csv, column 'odd'"):
            parsed(table(item_id=[1], odd=[[["a"]]]), columns)


def test_lists_of_words_are_text_whose_words_are_whole() -> None:
    """Proves the way for many categories: rows that share a word are close, and no word is cut at its hyphen."""
    columns = ItemsConfig(text=("tags",), directions=3)
    tags = [["a-b", "x y"], ["a-b", "x y"], ["a", "b"], ["a", "b"], None]
    built = features(parsed(table(item_id=[1, 2, 3, 4, 5], tags=tags), columns), columns)
    assert built.kinds == ("text",) * len(built.names)
    together = built.matrix @ built.matrix.T
    np.testing.assert_allclose(together, [[1, 1, 0, 0, 0]] * 2 + [[0, 0, 1, 1, 0]] * 2 + [[0] * 5], atol=1e-6)


def test_vectors_are_features_as_they_are() -> None:
    """Proves names, kinds and values, and zeros for an item without one."""
    columns = ItemsConfig(vectors=("cover",))
    built = features(parsed(table(item_id=[1, 2, 3], cover=[[0.5, -1.0], None, [3.0, 4.0]]), columns), columns)
    assert built.names == ("cover.0", "cover.1")
    assert built.kinds == ("vectors", "vectors")
    assert built.matrix.tolist() == [[0.5, -1.0], [0, 0], [3, 4]]


def test_a_vector_of_another_length_or_not_finite_is_refused_with_its_row() -> None:
    """Proves that the message has the column, the row and what was expected."""
    bad = {"not 2 numbers": [1.0, 2.0, 3.0], "not finite": [1.0, float("nan")], "missing": [1.0, None]}
    for said, cover in bad.items():
        with pytest.raises(DataError, match=rf"items.csv, column 'cover': .*{said}.* in 1 of 3 rows.*; first row 3"):
            parsed(table(item_id=[1, 2, 3], cover=[[1.0, 2.0], None, cover]), ItemsConfig(vectors=("cover",)))


COLUMNS = ItemsConfig(
    categorical=("kind",), multi_valued=("tags",), numeric=("year",), text=("title",), vectors=("cover",), directions=3
)


def described(*rows: tuple[str, str | None, str | None, str | None, str | None, list[float] | None]) -> pl.DataFrame:
    """An item table with a column of each kind but sentences, parsed."""
    names = ("item_id", "kind", "tags", "year", "title", "cover")
    cells = dict(zip(names, zip(*rows, strict=True), strict=True))
    return parsed(table(**{name: list(column) for name, column in cells.items()}), COLUMNS)


BEFORE = (
    ("a", "film", "x|y", "1990", "red sky", [1.0, 0.0]),
    ("b", "book", "y", "1995", "red sea", [0.0, 1.0]),
    ("c", "film", "x", None, "blue sea", None),
    ("d", None, None, "2001", "blue sky", [0.5, 0.5]),
)


def test_a_row_has_the_same_features_in_a_table_that_grew() -> None:
    """Proves for each of them that nothing is learnt anew: categories, scales, bins, directions are those of before."""
    small = features(described(*BEFORE), COLUMNS)
    later = (("e", "song", "z|x", "2024", "green sky green", None), ("f", "song", "z", "-7", "green", [2.0, 2.0]))
    grown = features(described(*BEFORE, *later), COLUMNS, small.learnt)
    assert (grown.names, grown.kinds) == (small.names, small.kinds)
    np.testing.assert_array_equal(grown.matrix[:4], small.matrix)
    of_later = dict(zip(grown.names, grown.matrix[4:].T.tolist(), strict=True))
    assert (of_later["kind=book"], of_later["kind=film"], of_later["tags=x"]) == ([0, 0], [0, 0], [1, 0])
    assert of_later["year"][0] > small.matrix[:, small.names.index("year")].max()
    assert (of_later["year[2]"], of_later["year[0]"]) == ([1, 0], [0, 1])
    assert of_later["cover.0"] == [0, 2]
    like = grown.matrix[:, [kind == "text" for kind in grown.kinds]]
    # "sky" is all that the fifth shares with those before, and the sixth shares nothing.
    assert like[4] @ like[0] > 0.3
    assert like[4] @ like[2] == pytest.approx(0, abs=1e-6)
    assert not like[5].any()


def test_what_was_not_learnt_is_refused() -> None:
    """Proves that a column of a release that kept nothing, and vectors of another model, are named."""
    small = features(described(*BEFORE), COLUMNS)
    without = {key: column for key, column in small.learnt.items() if key != "text:title"}
    with pytest.raises(DataError, match="column 'title': it is not known how it became features before; fit again"):
        features(described(*BEFORE), COLUMNS, without)
    longer = described(("a", "film", "x", "1990", "red", [1.0, 0.0, 0.0]))
    with pytest.raises(DataError, match="column 'cover': vectors of 3 numbers, not of 2 as before"):
        features(longer, COLUMNS, small.learnt)


def test_what_was_learnt_is_kept_as_arrays() -> None:
    """Proves that what is read back makes the same features to the bit, whatever is in a name or in a word."""
    odd = (("e", "a.b:c/ü\0", "x", "1990", "sky", None), ("f", "w" * 1000, "x", "1990", "sky", None))
    frame = described(*BEFORE, *odd)
    built = features(frame, COLUMNS)
    arrays = as_arrays(LearntColumns(items=built.learnt, users={}))
    with BytesIO() as file:
        np.savez(file, allow_pickle=False, **arrays)
        file.seek(0)
        again = of_arrays(dict(np.load(file, allow_pickle=False)))
    assert again.users == {}
    assert again.items.keys() == built.learnt.keys()
    read = features(frame, COLUMNS, again.items)
    assert read.names == built.names
    np.testing.assert_array_equal(read.matrix, built.matrix)
