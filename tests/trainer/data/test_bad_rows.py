"""Bad rows that a recipe allows: skipped, counted by reason, and refused beyond the share."""

import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from trainer.data import arrays as arrays_module
from trainer.data import events as events_module
from trainer.data import load
from trainer.data.bad_rows import BadRows
from trainer.errors import DataError, RecipeError
from trainer.protocols.given_parts import given_parts
from trainer.protocols.task import TEST, TRAIN
from trainer.recipe import (
    DataConfig,
    DataRecipe,
    ImpressionsConfig,
    InteractionsConfig,
    ItemsConfig,
    ObjectiveConfig,
    SplitConfig,
    UsersConfig,
)

ALLOWED = DataConfig(bad_rows="skip up to 5 %")
DAY = 86_400
RECIPE = DataRecipe(data=ALLOWED, interactions=InteractionsConfig(file="plays.csv", event="kind", value="stars"))
HEADER = "user_id,item_id,timestamp,kind,stars"
BAD = {
    20: ",i1,1020,view,1",
    21: "u1,,1021,view,1",
    22: "u1,i1,soon,view,1",
    23: "u1,i1,1023,view,many",
    24: "u1,i1,1024,,1",
    25: "u1,i1,1025",
    26: "u1,i1,1026,view,1,extra",
    27: f"u1,i1,{int(time.time()) + 2 * DAY},view,1",
    28: "u1,i1,,view,1",
}
SAID = (
    "plays.csv: 9 of 200 rows (4.5 %) were skipped: "
    "too few cells in 1, first row 26; "
    "too many cells in 1, first row 27; "
    "column 'timestamp': a missing cell in 1, first row 29: None; "
    "column 'timestamp': an unreadable time in 1, first row 23: 'soon'; "
    "column 'timestamp': a time beyond now in 1, first row 28: "
)


def lines(bad: dict[int, str], count: int = 200) -> list[str]:
    """A header and good rows, some of which are bad instead."""
    good = [f"u{row % 7},i{row % 11},{1000 + row},view,{row % 5}" for row in range(count)]
    return [HEADER, *(bad.get(row, one) for row, one in enumerate(good))]


def write(folder: Path, bad: dict[int, str]) -> None:
    """The interactions with these bad rows."""
    (folder / "plays.csv").write_text("\n".join(lines(bad)) + "\n")


def test_each_skipped_row_is_counted_by_its_reason(tmp_path: Path) -> None:
    """Proves it for nine reasons in a text table, by the rows' places in the file, and that the good rows stay."""
    write(tmp_path, BAD)
    data = load(tmp_path, RECIPE)
    [said] = data.warnings
    assert said.startswith(SAID)
    for reason in (
        "column 'user_id': a missing cell in 1, first row 21: None",
        "column 'item_id': a missing cell in 1, first row 22: None",
        "column 'kind': a missing cell in 1, first row 25: None",
        "column 'stars': no finite number in 1, first row 24: 'many'",
    ):
        assert reason in said
    assert data.counts.interactions == 191
    assert data.counts.duplicates_dropped == 0
    kept = [1000 + row for row in range(200) if row not in BAD]
    assert (data.times // 10**9).tolist() == kept


@pytest.mark.parametrize("row", sorted(BAD))
def test_each_of_these_rows_is_refused_by_default(tmp_path: Path, row: int) -> None:
    """Proves that without the key no row is left out, a time beyond now among them."""
    write(tmp_path, {row: BAD[row]})
    with pytest.raises(DataError, match=r"^plays.csv"):
        load(tmp_path, replace(RECIPE, data=DataConfig()))


def test_times_of_tomorrow_are_a_clock_that_is_ahead(tmp_path: Path) -> None:
    """Proves the slack of a day, in interactions and impressions, and that the message gives the date of today."""
    now = int(time.time())
    rows = {"user_id": ["u", "v"], "item_id": ["a", "b"], "timestamp": [1, now + DAY - 600], "clicked": [1, 0]}
    pl.DataFrame(rows).write_parquet(tmp_path / "interactions.parquet")
    pl.DataFrame(rows).write_parquet(tmp_path / "impressions.parquet")
    recipe = DataRecipe(impressions=ImpressionsConfig(), objectives={"click": ObjectiveConfig(column="clicked")})
    assert load(tmp_path, recipe).counts.interactions == 2
    pl.DataFrame(rows | {"timestamp": [1, now + DAY + 600]}).write_parquet(tmp_path / "impressions.parquet")
    with pytest.raises(DataError, match=r"^impressions.parquet, .*: over a day later than now, 20\d\d-.* in 1 of 2 r"):
        load(tmp_path, recipe)


def test_more_than_the_share_is_refused_with_the_counts(tmp_path: Path) -> None:
    """Proves that the message has the share, every reason and the first three rows of each."""
    write(tmp_path, {row: f"u1,,{row},view,1" for row in range(11)})
    with pytest.raises(
        DataError,
        match=r"^plays.csv: 11 of 200 rows \(5.5 %\) are bad, and \[data\] bad_rows skips up to 5 %: column 'item_id': "
        r"a missing cell in 11, first row 1: None, row 2: None, row 3: None$",
    ):
        load(tmp_path, RECIPE)


def test_a_table_of_bad_rows_alone_is_refused(tmp_path: Path) -> None:
    """Proves that even 100 % leaves nothing to learn from only by a message that says so."""
    write(tmp_path, {row: f"u{row % 3},,{row},view,1" for row in range(200)})
    with pytest.raises(DataError, match=r"^plays.csv: 200 of 200 rows \(100 %\) are bad, "):
        load(tmp_path, replace(RECIPE, data=DataConfig(bad_rows="skip up to 100 %")))


def test_rows_are_skipped_in_a_log_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves that the share is that of the whole file, and that the rows have their places in it."""
    frame = pl.DataFrame(
        {
            "user_id": [f"u{row % 7}" for row in range(200)],
            "item_id": [None if row in (70, 71, 150) else f"i{row % 11}" for row in range(200)],
            "timestamp": range(200),
        }
    )
    frame.write_parquet(tmp_path / "interactions.parquet")
    monkeypatch.setattr(arrays_module, "CHUNK", 64)
    monkeypatch.setattr(events_module, "_SAMPLED", 4)
    recipe = DataRecipe(data=DataConfig(bad_rows="skip up to 1.5%"))
    data = load(tmp_path, recipe)
    assert data.counts.interactions == 197
    assert data.warnings == (
        "interactions.parquet: 3 of 200 rows (1.5 %) were skipped: column 'item_id': a missing cell in 3, first "
        "row 71: None, row 72: None, row 151: None",
    )
    with pytest.raises(DataError, match=r"3 of 200 rows \(1.5 %\) are bad, and \[data\] bad_rows skips up to 1.4 %"):
        load(tmp_path, replace(recipe, data=DataConfig(bad_rows="skip up to 1.4 %")))


def test_rows_of_every_table_may_be_skipped(tmp_path: Path) -> None:
    """Proves it for items, users and impressions, and that a skipped item has no features and no row of its table."""
    write(tmp_path, {})
    items = [["i0", "5"], ["i1", "x"], ["i2", "7"], ["i2", "8"], *([f"i{row}", "1"] for row in range(3, 60))]
    users = [["u0", "5"], ["", "6"], *([f"u{row}", "1"] for row in range(1, 60))]
    for name, rows in (("item", items), ("user", users)):
        text = "\n".join([f"{name}_id,size", *(",".join(row) for row in rows)])
        (tmp_path / f"{name}s.csv").write_text(text + "\n")
    shown = {
        "user_id": [f"u{row % 7}" for row in range(40)],
        "item_id": ["i3"] * 40,
        "timestamp": [*range(40)],
        "clicked": [2, *[0, 1] * 19, 1],
    }
    pl.DataFrame(shown).write_parquet(tmp_path / "impressions.parquet")
    recipe = replace(
        RECIPE,
        items=ItemsConfig(file="items.csv", numeric=("size",), only_listed=False),
        users=UsersConfig(file="users.csv", numeric=("size",)),
        impressions=ImpressionsConfig(),
        objectives={"click": ObjectiveConfig(column="clicked")},
    )
    data = load(tmp_path, recipe)
    assert data.warnings == (
        "items.csv: 2 of 61 rows (3.28 %) were skipped: column 'size': no finite number in 1, first row 2: 'x'; "
        "column 'item_id': an id that is there more than once in 1, first row 4: 'i2'",
        "users.csv: 1 of 61 rows (1.64 %) were skipped: column 'user_id': a missing cell in 1, first row 2: None",
        "impressions.parquet: 1 of 40 rows (2.5 %) were skipped: column 'clicked': neither 0 nor 1 in 1, first "
        "row 1: 2",
    )
    sizes = dict(data.item_table.select("item_id", "size").iter_rows())
    assert sizes["i0"] == "5"
    assert (sizes["i1"], sizes["i2"]) == (None, "7")
    assert data.impressions is not None
    assert len(data.impressions) == 39
    assert data.impressions.unknown_items == 0
    assert data.impressions.places.tolist() == list(range(1, 40))


def test_a_published_split_leaves_the_skipped_rows_out(tmp_path: Path) -> None:
    """Proves that the parts are those of the good rows, and that a part without a name is refused as ever."""
    rows = [f"{line},{'test' if row % 4 else 'train'}" for row, line in enumerate(lines({}, 44))]
    rows[0] = f"{HEADER},part"
    rows[3] = "u2,i2,1002,view,1"
    rows[4] = rows[4].replace("view", "")
    rows[10] = ",,1009,view,1,test"
    (tmp_path / "plays.csv").write_text("\n".join(rows) + "\n")
    recipe = replace(RECIPE, data=DataConfig(bad_rows="skip up to 7 %"), split=SplitConfig(column="part"))
    data = load(tmp_path, recipe)
    assert len(given_parts(data, recipe, tmp_path)) == data.counts.interactions == 41
    rows[9] = rows[9].replace("train", "tset").replace("test", "tset")
    (tmp_path / "plays.csv").write_text("\n".join(rows) + "\n")
    with pytest.raises(DataError, match=r"'part': none of train, .* in 1 of 44 rows; first row 9: 'tset'"):
        given_parts(data, recipe, tmp_path)


def test_lines_between_quotes_that_do_not_pair_up_are_skipped(tmp_path: Path) -> None:
    """Proves that a cell over two lines costs these two rows, and no row between two such cells."""
    write(tmp_path, {20: 'u1,"i1', 21: 'i2",1021,view,1', 90: 'u1,"i1,i2",1090,view,1'})
    data = load(tmp_path, RECIPE)
    assert data.counts.interactions == 198
    assert b"i1,i2" in data.item_ids.tolist()
    assert data.warnings == (
        "plays.csv: 2 of 200 rows (1 %) were skipped: a quoted cell that does not end on its line in 2, first row 21, "
        "row 22",
    )


@pytest.mark.parametrize("line", ['u1,"i1"x,1020,view,1', 'u1,"i1" ,1020,view,1', 'u1,"a"b"c",1020,view,1'])
def test_text_beside_a_quoted_cell_costs_its_row_alone(tmp_path: Path, line: str) -> None:
    """Proves that a line that no parser reads is refused with its number, and skipped where that is allowed."""
    write(tmp_path, {20: line, 90: 'u1,"i""1,""",1090,view,1', 91: "u1,i,1091,view,1\r"})
    data = load(tmp_path, RECIPE)
    assert data.counts.interactions == 199
    assert b'i"1,"' in data.item_ids.tolist()
    assert data.warnings == (
        "plays.csv: 1 of 200 rows (0.5 %) were skipped: text beside a quoted cell in 1, first row 21",
    )
    with pytest.raises(DataError, match=r"^plays.csv, line 22: has text beside a quoted cell; quote whole cells, and"):
        load(tmp_path, replace(RECIPE, data=DataConfig()))


def test_a_separator_between_marks_inside_of_plain_text_parts_cells(tmp_path: Path) -> None:
    """Proves that a quotation mark in the middle of a cell quotes nothing: such a line has a cell too many."""
    write(tmp_path, {20: 'u1,x"i,1"y,1020,view,1', 90: 'u1,x"i"y,1090,view,1'})
    data = load(tmp_path, RECIPE)
    assert data.counts.interactions == 199
    assert b'x"i"y' in data.item_ids.tolist()
    assert "too many cells in 1, first row 21" in data.warnings[0]


@pytest.mark.parametrize("text", ["skip", "skip up to", "skip up to 0.1", "skip up to 101 %", "drop 1 %", "Refuse"])
def test_another_spelling_is_refused_with_an_example(text: str) -> None:
    """Proves that the message shows how it is written."""
    with pytest.raises(RecipeError, match=r'bad_rows: must be "refuse" or .* such as "skip up to 0.1 %", not'):
        DataConfig(bad_rows=text)


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("refuse", None),
        ("skip up to 0.1 %", Fraction(1, 1000)),
        ("skip up to 2%", Fraction(1, 50)),
        ("skip up to 0 %", Fraction(0)),
    ],
)
def test_a_percentage_is_a_share(text: str, share: Fraction | None) -> None:
    """Proves the two spellings."""
    assert DataConfig(bad_rows=text).skipped_share == share


@pytest.mark.parametrize(("percent", "bad", "rows"), [("0.7", 7, 1_000), ("0.29", 29, 10_000), ("1.1", 11, 1_000)])
def test_just_the_share_may_be_skipped_and_no_row_more(percent: str, bad: int, rows: int) -> None:
    """Proves exact arithmetic with percentages that no float holds."""
    found = BadRows.of(DataRecipe(data=DataConfig(bad_rows=f"skip up to {percent} %")), "plays.csv")
    assert found is not None
    part = found.of_part(rows)
    part.skip(np.arange(rows) < bad, "no number", str)
    assert len(list(found.warnings())) == 1
    part.skip(np.arange(rows) <= bad, "no number", str)
    with pytest.raises(DataError, match=rf"skips up to {percent} %: no number in {bad + 1}, first"):
        list(found.warnings())


@pytest.mark.parametrize("place", ["inf", "1e30", "9223372036854775808", "-1", "0.5", "x"])
def test_an_impression_without_a_readable_position_is_bad(tmp_path: Path, place: str) -> None:
    """Proves that infinities and numbers beyond int64 are refused with their row, and skipped where that is allowed."""
    write(tmp_path, {})
    shown = [f"u{row % 7},i{row % 11},{1000 + row},{place if row == 3 else row},1" for row in range(40)]
    (tmp_path / "shown.csv").write_text("\n".join(["user_id,item_id,timestamp,position,clicked", *shown]) + "\n")
    recipe = replace(
        RECIPE,
        impressions=ImpressionsConfig(file="shown.csv", position="position"),
        objectives={"click": ObjectiveConfig(column="clicked")},
    )
    data = load(tmp_path, recipe)
    assert data.impressions is not None
    assert data.impressions.positions.tolist() == [*range(3), *range(4, 40)]
    with pytest.raises(DataError, match=rf"'position': no .* number.* in 1 of 40 rows; first row 4: '{place}'"):
        load(tmp_path, replace(recipe, data=DataConfig()))


def test_the_first_usable_row_of_an_id_stays(tmp_path: Path) -> None:
    """Proves that a bad row of an id does not make its good row a duplicate, and that a third row is one."""
    write(tmp_path, {})
    rows = [*(f"i{row},{1990 + row}" for row in range(10)), "i10,x", "i10,2000", "i10,2001", "i10,y"]
    (tmp_path / "items.csv").write_text("\n".join(["item_id,year", *rows]) + "\n")
    items = ItemsConfig(file="items.csv", numeric=("year",))
    data = load(tmp_path, replace(RECIPE, data=DataConfig(bad_rows="skip up to 50 %"), items=items))
    assert dict(data.item_table.select("item_id", "year").iter_rows())["i10"] == "2000"
    assert data.listed.all()
    assert data.warnings == (
        "items.csv: 3 of 14 rows (21.4 %) were skipped: column 'year': no finite number in 2, first row 11: 'x', "
        "row 14: 'y'; column 'item_id': an id that is there more than once in 1, first row 13: 'i10'",
    )


@pytest.mark.parametrize(
    "bad", ["u0,i0,soon,view,1,test", "u0,i0,,view,1,test", "u0,i0,1000,,1,test", "u0,i0,1000,view,many,tset"]
)
def test_a_skipped_row_is_in_no_part_of_a_published_split(tmp_path: Path, bad: str) -> None:
    """Proves that a row skipped for any of its cells puts no interaction in two parts, nor is its part looked at."""
    rows = [f"{line},{'train' if row < 30 else 'test'}" for row, line in enumerate(lines({}, 40)[1:])]
    (tmp_path / "plays.csv").write_text("\n".join([f"{HEADER},part", *rows, bad]) + "\n")
    recipe = replace(RECIPE, split=SplitConfig(column="part"))
    data = load(tmp_path, recipe)
    assert given_parts(data, recipe, tmp_path).tolist() == [TRAIN] * 30 + [TEST] * 10


def test_a_skipped_row_of_a_test_file_is_in_no_part(tmp_path: Path) -> None:
    """Proves the same where a file of its own is the test."""
    rows = lines({}, 40)
    (tmp_path / "plays.csv").write_text("\n".join(rows[:31]) + "\n")
    (tmp_path / "test.csv").write_text("\n".join([HEADER, *rows[31:], "u0,i0,soon,view,1"]) + "\n")
    recipe = replace(RECIPE, split=SplitConfig(test_file="test.csv"), data=DataConfig(bad_rows="skip up to 20 %"))
    data = load(tmp_path, recipe)
    assert given_parts(data, recipe, tmp_path).tolist() == [TRAIN] * 30 + [TEST] * 10


def test_rows_of_a_folder_are_shown_with_their_file(tmp_path: Path) -> None:
    """Proves it for tables that are read file by file and at once, for cells and for lines."""
    for name in ("plays", "items"):
        (tmp_path / name).mkdir()
    (tmp_path / "plays/a.csv").write_text("user_id,item_id,timestamp\nu0,i0,1\nu1,i1,2\n")
    (tmp_path / "plays/b.csv").write_text("user_id,item_id,timestamp\nu0,i1,3\nu1,,4\nu1,i0\n")
    (tmp_path / "items/a.csv").write_text("item_id,year\ni0,1990\ni1,1991\n")
    (tmp_path / "items/b.csv").write_text("item_id,year\ni2,1992\ni3,x\ni1,1993\n")
    recipe = DataRecipe(
        data=DataConfig(bad_rows="skip up to 50 %"),
        interactions=InteractionsConfig(file="plays"),
        items=ItemsConfig(file="items", numeric=("year",)),
    )
    assert load(tmp_path, recipe).warnings == (
        "plays: 2 of 5 rows (40 %) were skipped: too few cells in 1, first plays/b.csv row 3; "
        "column 'item_id': a missing cell in 1, first plays/b.csv row 2: None",
        "items: 2 of 5 rows (40 %) were skipped: column 'year': no finite number in 1, first items/b.csv row 2: 'x'; "
        "column 'item_id': an id that is there more than once in 1, first items/b.csv row 3: 'i1'",
    )
    (tmp_path / "plays/b.csv").unlink()
    with pytest.raises(DataError, match=r"^items, column 'year': .* in 1 of 5 rows; first items/b.csv row 2: 'x'$"):
        load(tmp_path, replace(recipe, data=DataConfig()))


def test_vectors_are_shown_on_one_line(tmp_path: Path) -> None:
    """Proves that a warning about a vector has the start of its numbers and no end of a line."""
    write(tmp_path, {})
    vectors = [[1.0, 2.0], [1.0], *[[3.0, 4.0]] * 38]
    ids = [f"i{row}" for row in range(40)]
    pl.DataFrame({"item_id": ids, "v": vectors}).write_parquet(tmp_path / "items.parquet")
    items = ItemsConfig(file="items.parquet", vectors=("v",), only_listed=False)
    assert load(tmp_path, replace(RECIPE, items=items)).warnings[0] == (
        "items.parquet: 1 of 40 rows (2.5 %) were skipped: column 'v': not 2 numbers, as in most vectors, in 1, "
        "first row 2: [1.0]"
    )
