"""Columns of times as nanoseconds since 1970, whatever their unit and form; unreadable cells are refused."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl

from trainer.data.table import Table
from trainer.data.time_texts import END, SECOND, nanoseconds_of_texts
from trainer.errors import DataError

UNITS: Mapping[str, int] = {"seconds": SECOND, "milliseconds": 10**6, "microseconds": 10**3, "nanoseconds": 1}
"""Units of numbers, in nanoseconds.

A number is in the first unit in which it is before 2200. So milliseconds are those from 26 March 1970 on, which are
seconds after 2199, and so on.
"""
_CLOCKS = timedelta(days=1)
_FORMS = (
    "unix seconds (or milliseconds, microseconds or nanoseconds), ISO 8601 such as 2024-03-01 12:30:00.5, 2024/03/01 "
    "or RFC 2822, from 1970 to 2199"
)
_NUMBER = r"^(\d{1,19})(?:\.(\d*))?$"
_DAY_AND_MONTH = r"^\s*\d{1,2}[./-]\d{1,2}[./-]\d{2,4}"
# Beyond these, neighbours are more than a second apart.
_WHOLE_FLOAT32 = 2**24
# By the number of digits of a date: the divisor that leaves year, month and day.
_DIGITS = {8: 1, 12: 10**4, 14: 10**6}
_SHORTEST = min(_DIGITS)
_MANY_DATES = 0.5


@dataclass(frozen=True, kw_only=True, eq=False)
class Times:
    """Nanoseconds since 1970 ``[n]``, int64, and the unit of the numbers they were, None where there were none."""

    nanoseconds: pl.Series
    unit: str | None


def times(table: Table, column: str) -> pl.Series:
    """Times as nanoseconds since 1970 [n], int64; see `read_times`."""
    return read_times(table, column).nanoseconds


def read_times(table: Table, column: str) -> Times:
    """Times of a column; without a zone they are UTC.

    Numbers, as text too, are in one unit for the whole column, which their size tells. Floats are exact to a
    microsecond, all else to a nanosecond.

    Raises DataError for cells that are no time, for mixed units and for forms in which times are lost or ambiguous.
    """
    series = table.column(column)
    kind = series.dtype
    if isinstance(kind, pl.Decimal):
        series = series.cast(pl.String)
    if kind.is_float():
        found = _of_floats(table, series)
    elif series.dtype == pl.String:
        found = _of_text(table, series)
    elif kind.is_integer():
        found = _of_numbers(table, series.cast(pl.Int64, strict=False), None)
    elif isinstance(kind, pl.Datetime | pl.Date):
        found = Times(nanoseconds=_of_dates(series), unit=None)
    else:
        raise DataError(f"{table.name}, column {column!r}: must be {_FORMS}, not {kind}")
    unread = found.nanoseconds.is_null()
    table.refuse(column, unread, f"not {_FORMS}{_hint(series)},", "an unreadable time")
    return found


def refuse_future(table: Table, column: str, nanoseconds: pl.Series) -> None:
    """Raise DataError for times [n] beyond now by more than a day, which clocks and time zones do not explain.

    Such a time would be in the test of every split, and after it in no history.
    """
    now = datetime.now(UTC)
    limit = int((now + _CLOCKS).timestamp()) * SECOND
    beyond = (nanoseconds > limit).fill_null(False)
    table.refuse(column, beyond, f"over a day later than now, {now:%Y-%m-%d},", "a time beyond now")


def refuse_other_unit(name: str, column: str, units: set[str]) -> None:
    """Raise DataError if the parts of one file have numbers of several units."""
    if len(units) > 1:
        raise DataError(
            f"{name}, column {column!r}: has both {' and '.join(sorted(units))}, by the size of the numbers"
        )


def _of_dates(series: pl.Series) -> pl.Series:
    if series.dtype == pl.Date:
        return _scaled(series.to_physical().cast(pl.Int64), 86_400 * SECOND)
    assert isinstance(series.dtype, pl.Datetime)
    return _scaled(series.to_physical(), {"ms": 10**6, "us": 10**3, "ns": 1}[series.dtype.time_unit])


def _scaled(numbers: pl.Series, factor: int) -> pl.Series:
    """Numbers of a unit in nanoseconds, null outside of 1970 to 2199."""
    known = numbers.is_between(0, END // factor, closed="left")
    return numbers.set(~known.fill_null(False), None) * factor


def _of_floats(table: Table, series: pl.Series) -> Times:
    if series.dtype == pl.Float32 and (series.abs() > _WHOLE_FLOAT32).any():
        raise DataError(
            f"{table.name}, column {series.name!r}: Float32 cannot hold times of today to the second; store Float64 or "
            "whole numbers"
        )
    numbers = series.cast(pl.Float64)
    unit = _unit(table, numbers.floor().cast(pl.Int64, strict=False).alias(series.name))
    # A double of today's seconds is exact to a quarter of a microsecond.
    micro = (numbers * (UNITS[unit or "seconds"] / 1000)).round()
    return Times(nanoseconds=_scaled(micro.cast(pl.Int64, strict=False), 1000), unit=unit)


def _of_numbers(table: Table, whole: pl.Series, fraction: pl.Series | None) -> Times:
    """Times of whole numbers, and of the nine digits behind each one's point."""
    unit = _unit(table, whole)
    factor = UNITS[unit or "seconds"]
    found = _scaled(whole, factor)
    return Times(nanoseconds=found if fraction is None else found + fraction * factor // SECOND, unit=unit)


def _unit(table: Table, whole: pl.Series) -> str | None:
    """The unit of all numbers. Raises DataError for mixed ones, and for digits of dates."""
    known = whole.drop_nulls()
    if known.is_empty():
        return None
    _refuse_digits_of_dates(table, known)
    places = known.to_frame("number").select(
        pl.sum_horizontal([pl.col("number") >= END // factor for factor in UNITS.values()])
    )
    place = int(places.to_series().mode().sort()[0])
    unit = list(UNITS)[min(place, len(UNITS) - 1)]
    first, end = (0 if place == 0 else END // list(UNITS.values())[place - 1]), END // UNITS[unit]
    other = ~whole.is_between(first, end, closed="left").fill_null(True)
    why = f"not in {unit} from 1970 to 2199, as most rows are by their size,"
    table.refuse(whole.name, (other & (whole >= 0)).fill_null(False), why, "a time in another unit")
    return unit


def _refuse_digits_of_dates(table: Table, numbers: pl.Series) -> None:
    for digits, scale in _DIGITS.items():
        frame = pl.DataFrame({"number": numbers, "day": numbers // scale, "time": numbers % scale * (10**6 // scale)})
        year, month, day = pl.col("day") // 10_000, pl.col("day") // 100 % 100, pl.col("day") % 100
        minutes = pl.col("time") // 100 % 100 if digits > _SHORTEST else pl.lit(0)
        is_date = year.is_between(1970, 2199) & month.is_between(1, 12) & day.is_between(1, 31) & (minutes < 60)
        dates = frame.filter(is_date)["number"]
        # Not all, as placeholders such as 0 and 99999999 stand among dates.
        if len(dates) >= _MANY_DATES * len(numbers):
            raise DataError(
                f"{table.name}, column {numbers.name!r}: numbers such as {dates[0]} look like dates and not like times "
                f"since 1970; write them as {_dashed(str(dates[0]))}"
            )


def _dashed(digits: str) -> str:
    day = f"{digits[:4]}-{digits[4:6]}-{digits[6:8]}"
    return day if len(digits) == _SHORTEST else f"{day} {digits[8:10]}:{digits[10:12]}"


def _of_text(table: Table, series: pl.Series) -> Times:
    text = series.str.strip_chars()
    whole = text.str.extract(_NUMBER, 1).cast(pl.Int64, strict=False)
    behind = text.str.extract(_NUMBER, 2).fill_null("").str.pad_end(9, "0").str.head(9).cast(pl.Int64, strict=False)
    found = _of_numbers(table, whole, behind.fill_null(0))
    if whole.null_count() == 0:
        return found
    others = nanoseconds_of_texts(text.set(whole.is_not_null(), None))
    return Times(nanoseconds=found.nanoseconds.fill_null(others), unit=found.unit)


def _hint(series: pl.Series) -> str:
    if series.dtype == pl.String and series.str.contains(_DAY_AND_MONTH).any():
        return "; day and month are ambiguous in 01.03.2024 and 03/01/2024"
    return ""
