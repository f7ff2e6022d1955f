"""Loading someone's own tables: what the dataset holds, and every kind of bad data that is refused."""

import codecs
import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.support.events import events_of
from trainer.data import Dataset, load
from trainer.data.time_texts import SECOND
from trainer.errors import DataError, RecipeError
from trainer.recipe import DataRecipe, InteractionsConfig, ItemsConfig, ObjectiveConfig, UsersConfig

COLUMNS = InteractionsConfig(file="plays.csv")
GOOD = {"user_id": ["u2", "u1", "u2"], "item_id": ["b", "a", "a"], "timestamp": [30, 10, 20]}


def loaded(folder: Path, columns: Mapping[str, object], interactions: InteractionsConfig = COLUMNS) -> Dataset:
    """The dataset of these columns, written in the format that the file's ending says."""
    frame, path = pl.DataFrame(columns), folder / interactions.file
    if path.suffix == ".parquet":
        frame.write_parquet(path)
    else:
        frame.write_csv(path, separator="\t" if path.suffix == ".tsv" else ",")
    return load(folder, DataRecipe(interactions=interactions))


@pytest.mark.parametrize("file", ["plays.csv", "plays.tsv", "plays.parquet"])
def test_events_are_in_time_order_and_rows_in_id_order(tmp_path: Path, file: str) -> None:
    """Proves the shape of a dataset, the same from every format."""
    data = loaded(tmp_path, GOOD, InteractionsConfig(file=file))
    assert data.user_ids.tolist() == [b"u1", b"u2"]
    assert data.item_ids.tolist() == [b"a", b"b"]
    assert data.times.tolist() == [10 * SECOND, 20 * SECOND, 30 * SECOND]
    assert data.user_rows.tolist() == [0, 1, 1]
    assert data.item_rows.tolist() == [0, 0, 1]
    assert data.likes.all()
    assert np.isnan(data.values).all()
    assert data.events.tolist() == [0, 0, 0]
    assert data.item_features.matrix.shape == (2, 0)


def test_events_of_several_users_at_one_time_keep_the_order_of_the_file(tmp_path: Path) -> None:
    """Proves that the sort is stable, on enough rows for an unstable one to show."""
    items, users = [f"i{number}" for number in np.random.default_rng(0).permutation(500)], [f"u{n}" for n in range(500)]
    data = loaded(tmp_path, {"user_id": users[::-1], "item_id": items, "timestamp": [7] * 500})
    assert [data.item_ids[row].decode() for row in data.item_rows] == items


def test_the_order_of_the_file_says_nothing_about_events_of_one_user_and_time(tmp_path: Path) -> None:
    """Proves that baskets give the same data from a file by item and from one in random order."""
    random = np.random.default_rng(0)
    rows = [(u, i, day) for day in range(9) for u in range(7) for i in random.choice(50, 6, replace=False)]
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    files = [frame.sort("timestamp", "user_id", "item_id"), frame.sample(fraction=1.0, shuffle=True, seed=1)]
    one, other = (loaded(tmp_path, file.to_dict(as_series=False)) for file in files)
    for name in ("times", "user_rows", "item_rows", "user_events", "position"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    # A basket lies side by side, and not by item.
    assert (np.diff(one.user_rows.reshape(63, 6), axis=1) == 0).all()
    assert 0.4 < (np.diff(one.item_rows.reshape(63, 6), axis=1) > 0).mean() < 0.6
    assert one.position.reshape(63, 6).tolist() == [[6 * day] * 6 for day in range(9) for _ in range(7)]


def test_many_events_of_one_user_and_time_are_a_warning(tmp_path: Path) -> None:
    """Proves that they are counted, that a tenth is not yet many, and that rows in order have no such times."""
    columns = {"user_id": ["u"] * 9 + ["v"] * 2, "item_id": range(11), "timestamp": [1, 1, 1, *range(2, 8), 8, 8]}
    assert loaded(tmp_path, columns).warnings == (
        "plays.csv: 5 of 11 interactions have the time of another one of their user; they have no order, and none of "
        "them is in the history of another; finer times would tell more",
    )
    more = {"user_id": ["v"] * 20, "item_id": range(20), "timestamp": range(20, 40)}
    few = {name: [*columns[name], *more[name]] for name in columns} | {"timestamp": [1, 1, *range(2, 31)]}
    assert loaded(tmp_path, few).warnings == ()
    assert loaded(tmp_path, columns, replace(COLUMNS, rows_in_order=True)).warnings == ()


def test_each_users_events_and_positions_follow_time(tmp_path: Path) -> None:
    """Proves the grouping: user u's events are all and only theirs, oldest first, numbered from zero."""
    rng = np.random.default_rng(1)
    users, stamps = rng.integers(0, 9, 200), rng.permutation(200)
    data = loaded(tmp_path, {"user_id": users, "item_id": rng.integers(0, 50, 200), "timestamp": stamps})
    for row in range(len(data.user_ids)):
        events = events_of(data, row)
        assert events.tolist() == np.flatnonzero(data.user_rows == row).tolist()
        assert data.position[events].tolist() == list(range(len(events)))


def test_ids_sort_by_their_bytes(tmp_path: Path) -> None:
    """Proves that binary search over UTF-8 bytes finds every row, numbers and other scripts included."""
    items = ["10", "9", "Z", "a", "é", "ß", "日本", "😀"]
    data = loaded(tmp_path, {"user_id": ["u", "v"] * 4, "item_id": items, "timestamp": range(8)})
    assert data.item_ids.tolist() == sorted(item.encode() for item in items)
    assert data.item_ids[data.item_rows].tolist() == [item.encode() for item in items]


def test_the_last_of_the_same_user_item_and_time_is_kept(tmp_path: Path) -> None:
    """Proves that duplicates are dropped, counted and warned about, and that the last row's value stands."""
    columns = {"user_id": [1, 1, 2, 1], "item_id": [5, 5, 5, 5], "timestamp": [3, 3, 3, 4], "stars": [1, 2, 3, 4]}
    data = loaded(tmp_path, columns, replace(COLUMNS, value="stars"))
    assert data.values.tolist() == [2, 3, 4]
    assert (data.counts.interactions, data.counts.duplicates_dropped) == (3, 1)
    assert data.warnings == (
        "plays.csv: 1 of 4 rows were dropped because a later row has the same user, item, time and event",
    )


def test_few_duplicates_are_counted_without_a_warning(tmp_path: Path) -> None:
    """Proves that one row of a hundred is normal and that two are not."""
    users = [f"u{number}" for number in range(99)]
    for repeated, warnings in ((1, 0), (2, 1)):
        columns = {"user_id": [*users, *["u0"] * repeated], "item_id": "a", "timestamp": 1}
        data = loaded(tmp_path, columns)
        assert data.counts.duplicates_dropped == repeated
        assert len(data.warnings) == warnings


def test_a_view_and_a_purchase_of_one_day_are_two_events(tmp_path: Path) -> None:
    """Proves that the event is part of what makes a duplicate, in either order, and that every purchase is a like."""
    columns = InteractionsConfig(file="plays.csv", event="kind", positive_events=("buy",), value="price")
    for kinds in (["view", "buy"], ["buy", "view"]):
        rows = {
            "user_id": ["u", "u", "v", "v", "v"],
            "item_id": ["a"] * 5,
            "timestamp": ["2024-03-01"] * 5,
            "kind": [*kinds, *kinds, "buy"],
            "price": [1, 2, 3, 4, 5],
        }
        data = loaded(tmp_path, rows, columns)
        assert data.likes.sum() == 2
        assert data.counts.duplicates_dropped == 1
        of_v = sorted(data.values[data.user_rows == 1].tolist())
        assert of_v == ([3, 5] if kinds[1] == "buy" else [4, 5])


@pytest.mark.parametrize(
    ("interactions", "objectives", "said"),
    [
        (
            InteractionsConfig(file="plays.csv", event="kind", positive_events=("buy", "add_to_cart")),
            {},
            r"\[interactions\] positive_events: plays.csv, column 'kind', has no 'add_to_cart'; its events are "
            r"'addtocart', 'buy', 'view'",
        ),
        (
            InteractionsConfig(file="plays.csv", event="kind"),
            {"sale": ObjectiveConfig(events=("by",))},
            r"\[objectives.sale\] events: plays.csv, column 'kind', has no 'by'; its events are 'addtocart'",
        ),
        (
            COLUMNS,
            {"sale": ObjectiveConfig(events=("buy",))},
            r"\[objectives.sale\] events: needs \[interactions\] event",
        ),
    ],
)
def test_an_event_that_the_data_lacks_is_refused(
    tmp_path: Path, interactions: InteractionsConfig, objectives: dict[str, ObjectiveConfig], said: str
) -> None:
    """Proves that a misspelt event does not quietly become no likes, and that the message has the right names."""
    pl.DataFrame({**GOOD, "kind": ["view", "buy", "addtocart"]}).write_csv(tmp_path / "plays.csv")
    with pytest.raises(RecipeError, match=said):
        load(tmp_path, DataRecipe(interactions=interactions, objectives=objectives))


def test_two_bytes_of_event_names_are_read_and_more_are_refused(tmp_path: Path) -> None:
    """Proves that no event becomes another by the width of a number."""
    for count, said in ((2**16 - 1, None), (2**16, "has 65,536 different events, and at most 65,535")):
        kinds = [f"tap_{number:05}" for number in range(count)]
        rows = {"user_id": [number % 2 for number in range(count)], "item_id": "a", "timestamp": 1, "kind": kinds}
        interactions = InteractionsConfig(event="kind")
        if said is None:
            data = loaded(tmp_path, rows, interactions)
            assert data.histories.events.tolist() == data.events[data.user_events].tolist()
        else:
            with pytest.raises(DataError, match=said):
                loaded(tmp_path, rows, interactions)


def test_a_like_is_a_high_value_or_a_positive_event(tmp_path: Path) -> None:
    """Proves both rules, together and alone, and that event names are numbered from one in their order."""
    columns = {**GOOD, "stars": [5, 1, 1], "kind": ["view", "view", "buy"]}
    by_value = replace(COLUMNS, value="stars", positive_value=4)
    by_event = replace(COLUMNS, event="kind", positive_events=("buy",))
    both = replace(by_value, event="kind", positive_events=("buy",))
    assert loaded(tmp_path, columns, by_value).likes.tolist() == [False, False, True]
    assert loaded(tmp_path, columns, both).likes.tolist() == [False, True, True]
    data = loaded(tmp_path, columns, by_event)
    assert data.likes.tolist() == [False, True, False]
    assert data.event_names == ("buy", "view")
    assert data.events.tolist() == [2, 1, 2]


def test_items_and_users_of_the_tables_alone_are_kept(tmp_path: Path) -> None:
    """Proves the union: an item without events has a row and features, one without a table row has zeros."""
    pl.DataFrame({"item_id": ["new", "a"], "tags": [["x"], ["x", "y"]]}).write_parquet(tmp_path / "items.parquet")
    pl.DataFrame({"user_id": ["u3", "u1"], "land": ["NL", "DE"]}).write_parquet(tmp_path / "users.parquet")
    pl.DataFrame(GOOD).write_csv(tmp_path / "plays.csv")
    recipe = DataRecipe(
        interactions=COLUMNS, items=ItemsConfig(multi_valued=("tags",)), users=UsersConfig(categorical=("land",))
    )
    data = load(tmp_path, recipe)
    assert data.item_ids.tolist() == [b"a", b"b", b"new"]
    assert data.item_features.matrix.tolist() == [[1, 1], [0, 0], [1, 0]]
    assert data.item_table.to_dict(as_series=False) == {"item_id": ["a", "b", "new"], "tags": [["x", "y"], None, ["x"]]}
    assert data.user_features.matrix.tolist() == [[1, 0], [0, 0], [0, 1]]
    assert (data.counts.items, data.counts.items_without_interactions, data.counts.users) == (3, 1, 3)


def test_arrays_can_be_written_to(tmp_path: Path) -> None:
    """Proves that torch can take them without a warning: it wants memory that is not read-only."""
    data = loaded(tmp_path, GOOD)
    arrays = (data.user_rows, data.item_rows, data.times, data.values, data.events, data.likes, data.user_events)
    assert all(array.flags.writeable for array in arrays)


BAD: list[tuple[str, dict[str, object], str]] = [
    ("a null id", {"user_id": ["u", None, "v"]}, r"'user_id': no id .* in 1 of 3 rows; first row 2: None"),
    ("an empty id", {"item_id": ["a", "", "b"]}, r"'item_id': no id .* in 1 of 3 rows; first row 2: ''"),
    ("an id with NUL", {"item_id": ["a", "b\0", "b"]}, r"'item_id': no id of 1 to 256 bytes without NUL in 1 of 3"),
    ("an id over 256 bytes", {"item_id": ["a", "b", "é" * 129]}, r"'item_id': no id .* in 1 of 3 rows; first row 3"),
    (
        "an id that is a fraction",
        {"user_id": [1.0, 2.5, 3.0]},
        r"'user_id': ids are whole numbers or text, not Float64",
    ),
    ("a null time", {"timestamp": [1, None, 2]}, r"'timestamp': not unix .* in 1 of 3 rows; first row 2: None"),
    (
        "a time that is none",
        {"timestamp": ["1", "soon", "1970-13-01"]},
        r"2 of 3 rows; first row 2: 'soon', row 3: '1970",
    ),
    ("a time before 1970", {"timestamp": [1, -1, 2]}, r"'timestamp': .* in 1 of 3 rows; first row 2: -1"),
    ("an infinite time", {"timestamp": [1.0, float("inf"), 2.0]}, r"'timestamp': .* in 1 of 3 rows; first row 2: inf"),
    ("a time that is a truth", {"timestamp": [True, False, True]}, r"'timestamp': must be unix seconds.*, not Boolean"),
    ("a null value", {"stars": [1.0, None, 2.0]}, r"'stars': no finite number in 1 of 3 rows; first row 2: None"),
    ("NaN", {"stars": [1.0, float("nan"), 2.0]}, r"'stars': no finite number in 1 of 3 rows; first row 2: nan"),
    (
        "an infinity",
        {"stars": [1.0, 2.0, float("-inf")]},
        r"'stars': no finite number in 1 of 3 rows; first row 3: -inf",
    ),
    ("a value over float32", {"stars": [1.0, 2.0, 1e300]}, r"'stars': no finite number in 1 of 3 rows; first row 3"),
    (
        "text for a value",
        {"stars": ["1", "good", "2"]},
        r"'stars': no finite number in 1 of 3 rows; first row 2: 'good'",
    ),
    ("a truth for a value", {"stars": [True, False, True]}, r"'stars': Boolean is not a number"),
    ("one user", {"user_id": ["u", "u", "u"]}, r"'user_id': has one user"),
    ("no like", {"stars": [1, 2, 3]}, r"no row is a like"),
]


@pytest.mark.parametrize(("columns", "said"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_bad_cells_are_refused_by_column_count_and_row(tmp_path: Path, columns: dict[str, object], said: str) -> None:
    """Proves that each kind of bad cell stops the run with its file, its column, its count and the first rows."""
    interactions = InteractionsConfig(value="stars", positive_value=4)
    with pytest.raises(DataError, match=f"^interactions.parquet.*{said}"):
        loaded(tmp_path, {**GOOD, "stars": [5, 5, 5], **columns}, interactions)


def test_only_the_first_three_bad_rows_are_shown(tmp_path: Path) -> None:
    """Proves that a file of bad rows makes a short message with the whole count, from CSV as from Parquet."""
    columns = {"user_id": ["u", "v"] * 50, "item_id": ["i"] * 100, "timestamp": ["x"] * 100}
    with pytest.raises(DataError, match=r"in 100 of 100 rows; first row 1: 'x', row 2: 'x', row 3: 'x'$"):
        loaded(tmp_path, columns)


def test_a_missing_column_is_refused_with_those_there_are(tmp_path: Path) -> None:
    """Proves that a misnamed column can be put right from the message."""
    with pytest.raises(DataError, match=r"plays.csv: no column 'stars'; columns are user_id, item_id, timestamp"):
        loaded(tmp_path, GOOD, replace(COLUMNS, value="stars"))


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("plays.csv", b"", "plays.csv: cannot be read as a table"),
        ("plays.csv", b"user_id,item_id,timestamp\n", "plays.csv: has no rows"),
        (
            "plays.csv",
            b"user_id,item_id,timestamp\nu,i\xff,1\nv,i,1\n",
            "plays.csv, line 2: is not UTF-8 and may be Lat",
        ),
        ("plays.txt", "u café\nv tea\n".encode("latin-1"), "plays.txt, line 1: is not UTF-8 and may be Latin-1"),
        ("plays.csv", "user_id,item_id,timestamp\nu,i,1\n".encode("utf-16-be"), "is UTF-16 or UTF-32 without"),
        ("plays.csv", codecs.BOM_UTF16_LE + b"a", "plays.csv: begins as UTF-16 and cannot be read as such"),
        (
            "plays.csv",
            b"user_id,item_id,timestamp\nu,i,1,extra\nv,i,1\n",
            "line 2: has 4 cells where the first line has 3",
        ),
        ("plays.csv", b'user_id,item_id,timestamp\nu,"i,1\nv,i,1\n', "plays.csv, line 2: a quoted cell does not end"),
        ("plays.csv", b'user_id,item_id,timestamp\nu,i,1\nv,"i\nj",1\nw,i,1\n', "plays.csv, line 3: a quoted cell"),
        ("plays.csv", b"user_id,item_id,timestamp\n\nu,i,1\nv,i,1\n", "line 2: has 1 cells"),
        (
            "plays.csv",
            b"user_id,item_id,timestamp,item_id\nu,i,1,j\n",
            "more than one column 'item_id'; rename all but",
        ),
        ("plays.parquet", b"PAR1 but not really PAR1", "plays.parquet: cannot be read as Parquet"),
        ("plays.parquet", b"", "plays.parquet: cannot be read as Parquet"),
        ("plays.xlsx", b"PK", "plays.xlsx: not a table; read are .parquet, .pq, .csv, .tsv"),
    ],
)
def test_files_that_are_no_tables_are_refused(tmp_path: Path, file: str, text: bytes, said: str) -> None:
    """Proves that no error of the parser reaches the person who ran the trainer."""
    (tmp_path / file).write_bytes(text)
    with pytest.raises(DataError, match=said):
        load(tmp_path, DataRecipe(interactions=InteractionsConfig(file=file)))


_TEXT = "user_id,item_id,timestamp\nu,é,1\nv,b,2"


@pytest.mark.parametrize(
    "content",
    [
        _TEXT.encode(),
        f"{_TEXT}\n".encode(),
        f"{_TEXT}\n\n\n".encode(),
        f"\n{_TEXT}\n".encode(),
        f"{_TEXT}\n\n".replace("\n", "\r\n").encode(),
        _TEXT.replace("\n", "\r\n").encode(),
        f"{_TEXT}\n".replace("\n", "\r").encode(),
        f"{_TEXT}\n".encode("utf-8-sig"),
        f"{_TEXT}\n".encode("utf-16"),
        codecs.BOM_UTF16_BE + _TEXT.encode("utf-16-be"),
        b'"user_id","item_id","timestamp"\n"u","\xc3\xa9","1"\n"v","b","2"\n',
    ],
)
def test_a_table_is_the_same_from_any_program(tmp_path: Path, content: bytes) -> None:
    """Proves it for ends of lines, blank lines at the ends, a missing last end of line, and byte-order marks."""
    (tmp_path / "plays.csv").write_bytes(content)
    data = load(tmp_path, DataRecipe(interactions=COLUMNS))
    assert data.counts.interactions == 2
    assert data.user_ids.tolist() == [b"u", b"v"]
    assert data.item_ids.tolist() == [b"b", "é".encode()]
    assert data.times.tolist()[0] < data.times.tolist()[1]


def test_a_quotation_mark_in_a_tsv_is_text(tmp_path: Path) -> None:
    """Proves that no rows between two quotation marks become one cell."""
    search = ["shirt", '"exact phrase', "shoe", '27 inch tv"', '"', 'a "b" c']
    lines = [f"u{row % 2}\ti{row}\t{row}\t{words}" for row, words in enumerate(search)]
    (tmp_path / "plays.tsv").write_text("\n".join(["user_id\titem_id\ttimestamp\tsearch", *lines]) + "\n")
    data = load(tmp_path, DataRecipe(interactions=InteractionsConfig(file="plays.tsv")))
    assert (data.counts.interactions, data.counts.duplicates_dropped) == (6, 0)
    items = ItemsConfig(file="plays.tsv", categorical=("search",))
    table = load(tmp_path, DataRecipe(interactions=InteractionsConfig(file="plays.tsv"), items=items)).item_table
    assert table["search"].to_list() == search


@pytest.mark.parametrize("kind", ["csv", "tsv"])
def test_a_row_with_too_few_cells_is_refused(tmp_path: Path, kind: str) -> None:
    """Proves that missing cells do not become nulls, and that a separator inside a quoted cell is none."""
    sign = "," if kind == "csv" else "\t"
    quoted = '"a,b"' if kind == "csv" else "a b"
    rows = [("user_id", "item_id", "timestamp", "note"), ("u", "i", "1", quoted), ("v", "j", "2", ""), ("u", "j", "3")]
    whole = "\n".join(sign.join(row) for row in rows[:-1])
    recipe = DataRecipe(interactions=InteractionsConfig(file=f"plays.{kind}"))
    (tmp_path / f"plays.{kind}").write_text(whole)
    assert load(tmp_path, recipe).counts.interactions == 2
    (tmp_path / f"plays.{kind}").write_text(whole + "\n" + sign.join(rows[-1]) + "\n")
    with pytest.raises(DataError, match="line 4: has 3 cells where the first line has 4"):
        load(tmp_path, recipe)


def test_a_damaged_parquet_file_is_refused(tmp_path: Path) -> None:
    """Proves that bytes lost anywhere in a Parquet file are a DataError or harmless: no other exception leaves."""
    written = io.BytesIO()
    pl.DataFrame(GOOD).write_parquet(written)
    whole, refused = written.getvalue(), 0
    cuts = range(0, len(whole), 16)
    for cut in cuts:
        (tmp_path / "plays.parquet").write_bytes(whole[:cut] + whole[cut + 4 :])
        try:
            load(tmp_path, DataRecipe(interactions=InteractionsConfig(file="plays.parquet")))
        except DataError:
            refused += 1
    assert refused > len(cuts) / 2


def test_missing_files_are_refused(tmp_path: Path) -> None:
    """Proves that a missing folder, interactions file and item table are each named."""
    with pytest.raises(DataError, match=r"plays: no such folder; --data names the one with the tables"):
        load(tmp_path / "plays", DataRecipe(interactions=COLUMNS))
    with pytest.raises(DataError, match=r"plays.csv: no such file; nor is .* a MovieLens folder"):
        load(tmp_path, DataRecipe(interactions=COLUMNS))
    pl.DataFrame(GOOD).write_csv(tmp_path / "plays.csv")
    with pytest.raises(DataError, match=r"items.parquet: cannot be read: No such file"):
        load(tmp_path, DataRecipe(interactions=COLUMNS, items=ItemsConfig()))
