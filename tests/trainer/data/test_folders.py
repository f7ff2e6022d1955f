"""Tables that warehouses write: folders of files, whole numbers as decimals, text as bytes."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from trainer.data import Dataset, load
from trainer.data import arrays as arrays_module
from trainer.data import events as events_module
from trainer.errors import DataError
from trainer.recipe import (
    DataRecipe,
    ImpressionsConfig,
    InteractionsConfig,
    ItemsConfig,
    ObjectiveConfig,
    SplitConfig,
    UsersConfig,
)

EVENTS = pl.DataFrame(
    {"user_id": ["u", "v", "u", "w", "v", "u"], "item_id": ["a", "b", "c", "a", "c", "b"], "timestamp": range(6)}
)
ITEMS = pl.DataFrame({"item_id": ["a", "b", "c"], "genre": ["x", "y", "x"]})


def spark(folder: Path, frame: pl.DataFrame, kind: str = "parquet") -> None:
    """The files of a Spark job: three with rows, one without, checksums and a mark of success."""
    folder.mkdir(parents=True)
    for part in range(4):
        rows, name = frame[part::3] if part < 3 else frame.clear(), f"part-0000{part}.{kind}"
        rows.write_parquet(folder / name) if kind == "parquet" else rows.write_csv(folder / name)
        (folder / f".{name}.crc").write_bytes(b"crc\0\0\0\0\1")
    (folder / "_SUCCESS").touch()


def read(folder: Path, file: str = "events") -> Dataset:
    """The data set of a folder of events."""
    return load(folder, DataRecipe(interactions=InteractionsConfig(file=file)))


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_folder_of_spark_is_a_table(tmp_path: Path, kind: str) -> None:
    """Proves it for interactions, items, users and impressions, and that only files of data are read."""
    spark(tmp_path / "events", EVENTS, kind)
    spark(tmp_path / "items", ITEMS, kind)
    spark(tmp_path / "users", pl.DataFrame({"user_id": ["u", "v", "w"], "land": ["NL", "DE", "NL"]}), kind)
    spark(tmp_path / "shown", EVENTS.with_columns(clicked=pl.lit(1)), kind)
    recipe = DataRecipe(
        interactions=InteractionsConfig(file="events"),
        items=ItemsConfig(file="items", categorical=("genre",)),
        users=UsersConfig(file="users", categorical=("land",)),
        impressions=ImpressionsConfig(file="shown"),
        objectives={"click": ObjectiveConfig(column="clicked")},
    )
    data = load(tmp_path, recipe)
    assert data.item_ids[data.item_rows].tolist() == [item.encode() for item in EVENTS["item_id"]]
    assert data.item_features.matrix.tolist() == [[1, 0], [0, 1], [1, 0]]
    assert data.user_features.matrix.tolist() == [[0, 1], [1, 0], [0, 1]]
    assert data.impressions is not None
    assert len(data.impressions) == 6


def test_names_of_folders_are_columns(tmp_path: Path) -> None:
    """Proves that they are text with their zeros, that one may be absent, and that they can be any column."""
    for place, value in enumerate(["007", "a%2Fb", "__HIVE_DEFAULT_PARTITION__"]):
        folder = tmp_path / "items" / f"shelf={value}"
        folder.mkdir(parents=True)
        ITEMS[place : place + 1].write_parquet(folder / "part.parquet")
    for day in ("2024-03-02", "2024-03-01"):
        folder = tmp_path / "events" / f"day={day}" / "_kind=view"
        folder.mkdir(parents=True)
        EVENTS[:3].drop("timestamp").write_parquet(folder / "part.parquet")
    columns = InteractionsConfig(file="events", time="day", event="_kind")
    recipe = DataRecipe(interactions=columns, items=ItemsConfig(file="items", categorical=("shelf",)))
    data = load(tmp_path, recipe)
    assert data.item_table["shelf"].to_list() == ["007", "a/b", None]
    assert data.event_names == ("view",)
    assert data.counts.interactions == 6
    assert len(set(data.times.tolist())) == 2


@pytest.mark.parametrize("chunk", [2, 100])
def test_rows_in_order_go_by_the_names_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    """Proves that the second file's rows come after all of the first's."""
    (tmp_path / "events").mkdir()
    for name, rows in (("b", EVENTS[3:]), ("a", EVENTS[:3])):
        rows.write_parquet(tmp_path / "events" / f"{name}.parquet")
    monkeypatch.setattr(arrays_module, "CHUNK", chunk)
    monkeypatch.setattr(events_module, "_SAMPLED", 1)
    data = load(tmp_path, DataRecipe(interactions=InteractionsConfig(file="events", rows_in_order=True)))
    assert data.item_ids[data.item_rows].tolist() == [item.encode() for item in EVENTS["item_id"]]


def _log(folder: Path) -> None:
    EVENTS.write_parquet(folder / "part.parquet")
    (folder / "_delta_log").mkdir()


def _text(folder: Path) -> None:
    EVENTS.write_parquet(folder / "part.parquet")
    (folder / "notes.txt").write_text("u a b")


def _bad(folder: Path) -> None:
    EVENTS.write_parquet(folder / "a.parquet")
    EVENTS.with_columns(user_id=pl.lit(None, pl.String)).write_parquet(folder / "b.parquet")


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda folder: None, "events: has no table in it; read are .parquet, .pq, .csv, .tsv"),
        (lambda folder: EVENTS.clear().write_parquet(folder / "a.parquet"), "events/a.parquet: has no rows"),
        (lambda folder: (folder / "_temporary").mkdir(), "events: is not finished"),
        (_log, "events: is a Delta table, whose log says which files count; export it as plain Parquet"),
        (_text, "notes.txt: not a table; a folder that is one has only files of .parquet"),
        (_bad, "^events/b.parquet, column 'user_id': no id .* in 6 of 6 rows; first row 1: None"),
    ],
)
def test_a_folder_that_is_no_table_is_refused(tmp_path: Path, write: Callable[[Path], object], said: str) -> None:
    """Proves that no file is left out that may have rows, and that a bad one is named."""
    (tmp_path / "events").mkdir()
    write(tmp_path / "events")
    with pytest.raises(DataError, match=said):
        read(tmp_path)


def test_whole_decimals_and_text_as_bytes_are_ids(tmp_path: Path) -> None:
    """Proves that interactions and the item table agree on an id, whatever type each has."""
    kinds = {
        "whole": pl.Series([1, 20, 1]),
        "decimal": pl.Series([1, 20, 1]).cast(pl.Decimal(38, 0)),
        "scaled": pl.Series([Decimal("1.00"), Decimal("20.00"), Decimal("1.00")]),
        "bytes": pl.Series([b"1", b"20", b"1"]),
        "text": pl.Series(["1", "20", "1"]),
    }
    for name, items in kinds.items():
        folder = tmp_path / name
        folder.mkdir()
        frame = pl.DataFrame({"user_id": ["u", "v", "w"], "item_id": items, "timestamp": range(3)})
        frame.write_parquet(folder / "events.parquet")
        items.head(2).to_frame("item_id").with_columns(c=items.head(2)).write_parquet(folder / "items.parquet")
        recipe = DataRecipe(
            interactions=InteractionsConfig(file="events.parquet"), items=ItemsConfig(categorical=("c",))
        )
        data = load(folder, recipe)
        assert data.item_ids.tolist() == [b"1", b"20"]
        assert data.item_table["item_id"].to_list() == ["1", "20"]
        assert data.item_features.matrix.tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize(
    ("items", "said"),
    [
        (
            pl.Series([Decimal("1.00"), Decimal("1.50")]),
            "an id that is a fraction in 1 of 2 rows; first row 2",
        ),
        (pl.Series([b"a", b"\xff"]), "'item_id': has bytes that are not UTF-8; write them as text"),
        (pl.Series([1.0, 2.0]), "ids are whole numbers or text, not Float64"),
    ],
)
def test_ids_that_may_be_others_are_refused(tmp_path: Path, items: pl.Series, said: str) -> None:
    """Proves that no id is rounded or guessed."""
    frame = pl.DataFrame({"user_id": ["u", "v"], "item_id": items, "timestamp": range(2)})
    frame.write_parquet(tmp_path / "events.parquet")
    with pytest.raises(DataError, match=said):
        read(tmp_path, "events.parquet")


def test_a_name_with_brackets_is_that_file_alone(tmp_path: Path) -> None:
    """Proves that names are no patterns: a file beside it that the name would match as one is not read."""
    for name, rows in (("run[1]", EVENTS), ("run1", EVENTS.with_columns(item_id=pl.lit("other")))):
        (tmp_path / name).mkdir()
        rows.write_parquet(tmp_path / name / "shop*.parquet")
        rows.write_parquet(tmp_path / name / "shop_b.parquet")
    data = read(tmp_path, "run[1]")
    assert data.item_ids.tolist() == [b"a", b"b", b"c"]
    assert (data.counts.interactions, data.counts.duplicates_dropped) == (6, 6)


def test_a_link_to_a_folder_is_refused(tmp_path: Path) -> None:
    """Proves that no part of a table is left out without a word."""
    for folder in ("elsewhere", "events"):
        (tmp_path / folder).mkdir()
        EVENTS.write_parquet(tmp_path / folder / "part.parquet")
    (tmp_path / "events" / "day=2").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    with pytest.raises(DataError, match="day=2: is a link to a folder"):
        read(tmp_path)


def test_files_of_one_table_may_have_their_columns_in_any_order(tmp_path: Path) -> None:
    """Proves it for items: the columns are found by name."""
    EVENTS.write_parquet(tmp_path / "events.parquet")
    (tmp_path / "items").mkdir()
    ITEMS[:1].write_parquet(tmp_path / "items" / "0.parquet")
    ITEMS[1:].select("genre", "item_id").write_parquet(tmp_path / "items" / "1.parquet")
    recipe = DataRecipe(
        interactions=InteractionsConfig(file="events.parquet"), items=ItemsConfig(file="items", categorical=("genre",))
    )
    assert load(tmp_path, recipe).item_features.matrix.tolist() == [[1, 0], [0, 1], [1, 0]]


def test_a_file_of_lines_comes_behind_the_one_before_it(tmp_path: Path) -> None:
    """Proves that the test's file is later than the training's, so that a split by time never mixes them."""
    (tmp_path / "train.txt").write_text("1 a b c\n2 b c\n")
    (tmp_path / "test.txt").write_text("1 d\n2 e\n")
    recipe = DataRecipe(interactions=InteractionsConfig(file="train.txt"), split=SplitConfig(test_file="test.txt"))
    data = load(tmp_path, recipe)
    assert b"".join(data.item_ids[data.item_rows].tolist()) == b"abcbcde"
