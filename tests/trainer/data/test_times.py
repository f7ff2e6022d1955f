"""Times in every unit and form, each to its nanosecond, and those that are refused."""

import itertools
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from trainer.data import arrays as arrays_module
from trainer.data import load, time_texts
from trainer.data.table import Table
from trainer.data.time_texts import SECOND, nanoseconds_of_texts
from trainer.data.times import times
from trainer.errors import DataError
from trainer.recipe import DataRecipe, ImpressionsConfig, InteractionsConfig, ObjectiveConfig

NOON = 1_709_296_200
"""2024-03-01 12:30:00 UTC."""
DAY = 86_400


def read(cells: pl.Series | list[object]) -> list[int]:
    """The nanoseconds of a column."""
    return times(Table(name="plays.csv", frame=pl.DataFrame({"at": cells})), "at").to_list()


def of_day(part: float) -> datetime:
    """A time of that day."""
    return datetime(2024, 3, 1, 12, 30, tzinfo=UTC) + timedelta(seconds=part)


@pytest.mark.parametrize(
    ("cells", "nanoseconds"),
    [
        ([NOON, 0], [NOON * SECOND, 0]),
        ([7_258_118_399, 3], [7_258_118_399 * SECOND, 3 * SECOND]),
        ([7_258_118_400], [7_258_118_400 * 10**6]),
        ([NOON * 10**3 + 1, NOON * 10**3 + 200], [NOON * SECOND + 10**6, NOON * SECOND + 2 * 10**8]),
        ([NOON * 10**6 + 1], [NOON * SECOND + 10**3]),
        ([NOON * SECOND + 1, 7_258_118_399_999_999_999], [NOON * SECOND + 1, 7_258_118_399_999_999_999]),
        ([NOON + 0.2, NOON + 0.25, 0.5], [NOON * SECOND + 2 * 10**8, NOON * SECOND + 25 * 10**7, SECOND // 2]),
        ([NOON * 1e3 + 0.5], [NOON * SECOND + 5 * 10**5]),
        (pl.Series([1.5, 2.0], dtype=pl.Float32), [3 * SECOND // 2, 2 * SECOND]),
        ([Decimal(NOON), Decimal(3)], [NOON * SECOND, 3 * SECOND]),
        ([Decimal(f"{NOON}.123456789")], [NOON * SECOND + 123_456_789]),
        (pl.Series([of_day(0.25)], dtype=pl.Datetime("ms", "UTC")), [NOON * SECOND + SECOND // 4]),
        (pl.Series([of_day(0.25)]).dt.replace_time_zone(None), [NOON * SECOND + SECOND // 4]),
        (pl.Series([NOON * SECOND + 1]).cast(pl.Datetime("ns")), [NOON * SECOND + 1]),
        ([datetime(2024, 3, 1, 14, 30, tzinfo=timezone(timedelta(hours=2)))], [NOON * SECOND]),
        ([date(1970, 1, 3), date(1970, 1, 1)], [2 * DAY * SECOND, 0]),
        (["86400", "1970-01-01", " 86401.0 "], [DAY * SECOND, 0, (DAY + 1) * SECOND]),
        ([f"{NOON}.2", f"{NOON}.123456789"], [NOON * SECOND + 2 * 10**8, NOON * SECOND + 123_456_789]),
        ([f"{NOON}200", f"{NOON}001.5"], [NOON * SECOND + 2 * 10**8, NOON * SECOND + 1_500_000]),
        (["1970-01-02", "1970-01-01T00:00:00Z", "1970-01-02 02:00:01+02:00"], [DAY * SECOND, 0, (DAY + 1) * SECOND]),
        (["2024-03-01 12:30:00.123456789"], [NOON * SECOND + 123_456_789]),
        (["2024-03-01T12:30:00,2Z", "20240301T123000.2"], [NOON * SECOND + 2 * 10**8] * 2),
        (["2024-03-01 12:30:00.25 UTC", "2024-03-01 14:30:00.25 +0200"], [NOON * SECOND + SECOND // 4] * 2),
        (["2024/03/01", "2024/03/01 12:30:00"], [(NOON - 45_000) * SECOND, NOON * SECOND]),
        (["Fri, 01 Mar 2024 12:30:00 GMT", "1 Mar 2024 13:30:00 +0100"], [NOON * SECOND] * 2),
    ],
)  # fmt: skip
def test_times_are_read_to_the_nanosecond(cells: pl.Series | list[object], nanoseconds: list[int]) -> None:
    """Proves it for numbers in each unit and type, for typed times, and for text in each form."""
    assert read(cells) == nanoseconds


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ([1, 1_700_000_000_000, 2], "not in seconds .*, as most rows are by their size, in 1 of 3 rows; first row 2"),
        ([f"{NOON}000", str(NOON), f"{NOON}001"], "not in milliseconds .* in 1 of 3 rows; first row 2: '1709296200'"),
        ([7_258_118_400_000_000_000], "in 1 of 1 rows; first row 1: 72581184"),
        ([20240301, 20231231], "numbers such as 20240301 look like dates .* write them as 2024-03-01$"),
        (["202403011230"], "numbers such as 202403011230 look like dates .* write them as 2024-03-01 12:30$"),
        ([0, *range(20240301, 20240321)], "numbers such as 20240301 look like dates .* write them as 2024-03-01$"),
        ([*range(20240301, 20240311), 99999999, -1], "numbers such as 20240301 look like dates"),
        (["0", "202403011230"], "numbers such as 202403011230 look like dates"),
        ([20240301123000], "look like dates .* write them as 2024-03-01 12:30$"),
        (pl.Series([NOON], dtype=pl.Float32), "Float32 cannot hold times of today to the second"),
        (["01.03.2024", "2024-03-01"], "day and month are ambiguous in 01.03.2024 and 03/01/2024, in 1 of 2 rows"),
        (["03/01/2024 12:30"], "day and month are ambiguous in .* in 1 of 1 rows"),
        (["1.7E+09", "1700000000"], "not unix seconds .* in 1 of 2 rows; first row 1: '1.7E"),
        (["2024-03-01 12:30.5"], "not unix seconds .* ISO 8601 such as .* 2024/03/01 or RFC 2822"),
        (["Foo, 01 Mar 2024"], "not unix seconds"),
        (["2024-03-01", "2024-02-30 12:30:00", "x"], "not unix seconds .* in 2 of 3 rows; first row 2: '2024-02-30 12"),
        (["2024-03-01", "9999-12-31", "0001-01-01"], "not unix seconds .* in 2 of 3 rows; first row 2: '9999-12-31'"),
        (["2200-01-01 01:00:00+0100", "2199-12-31 23:00:00-0100"], "not unix seconds .* in 2 of 2 rows"),
        ([datetime(2300, 1, 1)], "not unix seconds"),
        ([datetime(1969, 12, 31)], "not unix seconds"),
    ],
)  # fmt: skip
def test_a_time_that_may_be_another_is_refused(cells: pl.Series | list[object], said: str) -> None:
    """Proves it for mixed units, dates as digits, ambiguous days, and forms that have lost their last digits."""
    with pytest.raises(DataError, match=f"^plays.csv, column 'at': .*{said}"):
        read(cells)


def test_a_column_of_texts_is_read_as_each_of_its_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves that the usual forms, read together, have the time or the refusal of each form by itself."""
    days = ("2024-03-01", "2024/03/01", "2024-02-30", "1969-12-31", "2199-12-31", "2200-01-01", "9999-12-31")
    clocks = ("", "T12:30", " 12:30:00", "T23:59:59", "T23:59:60", "T24:00:00")
    fractions = ("", ".5", ",25", ".1234567891", ".")
    zones = ("", "Z", " UTC", "+02:00", " -0130", "+24:00", "+01:75", "+23")
    texts = pl.Series(["".join(parts) for parts in itertools.product(days, clocks, fractions, zones)])
    together = nanoseconds_of_texts(texts)
    usual = time_texts._of_usual_forms(texts)
    monkeypatch.setattr(time_texts, "_of_usual_forms", lambda texts: pl.Series([None] * len(texts), dtype=pl.Int64))
    assert together.to_list() == nanoseconds_of_texts(texts).to_list()
    assert 50 < usual.count() < together.count() < len(texts)


def test_a_few_seconds_that_could_be_dates_are_seconds() -> None:
    """Proves that only most of a column makes it one of dates."""
    assert read([20240301, 20240299, 20249999])[0] == 20240301 * SECOND


def test_parts_of_a_table_have_one_unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves that mixed units are refused where no part that is read at once has both."""
    rows = {"user_id": ["u", "v"] * 4, "item_id": range(8), "timestamp": [NOON] * 4 + [NOON * 1000] * 4}
    pl.DataFrame(rows).write_parquet(tmp_path / "interactions.parquet")
    monkeypatch.setattr(arrays_module, "CHUNK", 4)
    with pytest.raises(DataError, match="column 'timestamp': has both milliseconds and seconds"):
        load(tmp_path, DataRecipe(interactions=InteractionsConfig()))


def test_events_within_a_second_are_in_their_order(tmp_path: Path) -> None:
    """Proves that a file with the newest first gives histories and impressions in the order of the milliseconds."""
    moments = [datetime(2024, 1, 1) + timedelta(milliseconds=200 * step) for step in range(20)]
    frame = pl.DataFrame(
        {"user_id": ["u", "v"] * 10, "item_id": [f"i{step:02}" for step in range(20)], "timestamp": moments},
        schema_overrides={"timestamp": pl.Datetime("ms")},
    ).reverse()
    frame.write_parquet(tmp_path / "interactions.parquet")
    # The same moments, in another unit.
    shown = frame.with_columns(timestamp=pl.col("timestamp").dt.epoch("us"), clicked=1)
    shown.write_parquet(tmp_path / "impressions.parquet")
    recipe = DataRecipe(impressions=ImpressionsConfig(), objectives={"click": ObjectiveConfig(column="clicked")})
    data = load(tmp_path, recipe)
    assert data.item_rows.tolist() == list(range(20))
    assert data.histories.item_rows.tolist() == [*range(0, 20, 2), *range(1, 20, 2)]
    assert data.impressions is not None
    assert data.impressions.item_rows.tolist() == list(range(20))
    np.testing.assert_array_equal(data.impressions.times, data.times)
    assert [data.until(time) for time in data.times.tolist()] == list(range(20))


def test_rows_in_order_are_a_second_apart(tmp_path: Path) -> None:
    """Proves that the age of an item counts rows where there are no times."""
    frame = pl.DataFrame({"user_id": ["u", "v", "u"], "item_id": ["b", "a", "c"]})
    frame.write_parquet(tmp_path / "interactions.parquet")
    data = load(tmp_path, DataRecipe(interactions=InteractionsConfig(rows_in_order=True)))
    assert data.times.tolist() == [0, SECOND, 2 * SECOND]
