"""Columns of a table as ids and numbers; each refuses unreadable cells, with the bad rows."""

import polars as pl
from polars.exceptions import PolarsError

from trainer.data.table import Table
from trainer.errors import DataError

_LONGEST_ID = 256
_FLAGS = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}


def ids(table: Table, column: str) -> pl.Series:
    """Ids as text [n]. Raises DataError for one that is null, empty, holds NUL or is over 256 bytes of UTF-8."""
    text = _labels(table, column)
    bad = text.is_null() | (text == "") | text.str.contains("\0", literal=True) | (text.str.len_bytes() > _LONGEST_ID)
    table.refuse(column, bad.fill_null(True), f"no id of 1 to {_LONGEST_ID} bytes without NUL")
    return text


def refuse_repeated(table: Table, column: str) -> None:
    """Raises DataError for an id that stands twice.

    Where bad rows are skipped, the first row of an id stays that has not been skipped yet. So this check is the last.
    """
    text = ids(table, column)
    if table.skipping is None:
        bad = text.is_duplicated().to_numpy()
    else:
        bad = table.skipping.usable.copy()
        bad[bad] = ~table.kept(text).is_first_distinct().to_numpy()
    table.refuse(column, pl.Series(bad), "an id that is there more than once")


def values(table: Table, column: str) -> pl.Series:
    """Numbers [n], float32. Raises DataError for one that is missing or not finite."""
    numbers = _numbers(table, column)
    table.refuse(column, ~numbers.is_finite().fill_null(False), "no finite number")
    return numbers


def measures(table: Table, column: str) -> pl.Series:
    """Numbers [n], float32, null where missing (NaN, too). Raises DataError for text and infinities."""
    numbers = _numbers(table, column)
    unread = numbers.is_null() & table.column(column).is_not_null()
    table.refuse(column, unread | numbers.is_infinite().fill_null(False), "no finite number")
    return numbers.fill_nan(None)


def _numbers(table: Table, column: str) -> pl.Series:
    series = table.column(column)
    if series.dtype == pl.String:
        series = series.str.strip_chars()
    elif not series.dtype.is_numeric():
        raise DataError(f"{table.name}, column {column!r}: {series.dtype} is not a number")
    return series.cast(pl.Float64, strict=False).cast(pl.Float32, strict=False)


def flags(table: Table, column: str) -> pl.Series:
    """Truths [n], from true and false or 1 and 0, as text, too. Raises DataError for any other cell."""
    text = words(table, column).str.strip_chars().str.to_lowercase()
    found = text.replace_strict(_FLAGS, default=None, return_dtype=pl.Boolean)
    table.refuse(column, found.is_null(), "neither true nor false, 1 nor 0,")
    return found.fill_null(False)


def vectors(table: Table, column: str) -> pl.Series:
    """Lists of numbers [n], float32, all as long, null where missing. Raises DataError."""
    series = table.column(column)
    if not isinstance(series.dtype, pl.List | pl.Array) or not series.dtype.inner.is_numeric():
        raise DataError(f"{table.name}, column {column!r}: {series.dtype} is not a list of numbers")
    lists = series.cast(pl.List(pl.Float32), strict=False)
    known = lists.list.len().drop_nulls().mode().sort()
    length = known[0] if len(known) else 0
    table.refuse(column, (lists.list.len() != length).fill_null(False), f"not {length} numbers, as in most vectors,")
    finite = lists.list.eval(pl.element().is_finite().fill_null(False)).list.all()
    table.refuse(column, ~finite.fill_null(True), "numbers that are missing or not finite")
    return lists


def texts(table: Table, column: str) -> pl.Series:
    """Text [n], or lists of text [n] of a list column, null where missing. Raises DataError."""
    if isinstance(table.column(column).dtype, pl.List):
        return word_lists(table, column, "")
    return words(table, column)


def words(table: Table, column: str) -> pl.Series:
    """Text [n] of any column that is not nested, null where missing. Raises DataError."""
    series = table.column(column)
    if series.dtype.is_nested():
        raise DataError(f"{table.name}, column {column!r}: {series.dtype} is not a single value")
    return _text(table, column)


def word_lists(table: Table, column: str, separator: str) -> pl.Series:
    """Lists of text [n] of a list column, or of text split at `separator`. Raises DataError."""
    series = table.column(column)
    if isinstance(series.dtype, pl.List) and not series.dtype.inner.is_nested():
        return series.cast(pl.List(pl.String))
    return words(table, column).str.split(separator)


def _labels(table: Table, column: str) -> pl.Series:
    series = table.column(column)
    kind = series.dtype
    if not (kind.is_integer() or kind in (pl.String, pl.Categorical, pl.Enum, pl.Binary, pl.Decimal)):
        raise DataError(f"{table.name}, column {column!r}: ids are whole numbers or text, not {kind}")
    text = _text(table, column)
    if kind == pl.Decimal:
        # Warehouses have whole numbers as decimals, such as NUMBER(38, 0).
        text = text.str.replace(r"\.0+$", "")
        table.refuse(column, text.str.contains(".", literal=True).fill_null(False), "an id that is a fraction")
    return text


def _text(table: Table, column: str) -> pl.Series:
    """A column as text; Parquet has text without its mark as bytes."""
    try:
        return table.column(column).cast(pl.String)
    except PolarsError as error:
        raise DataError(f"{table.name}, column {column!r}: has bytes that are not UTF-8; write them as text") from error
