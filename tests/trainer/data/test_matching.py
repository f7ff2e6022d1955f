"""Ids of two tables that do not match: refused, warned about or counted."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest

from trainer.data import Dataset, load
from trainer.errors import DataError
from trainer.jobs.inputs import report_counts
from trainer.progress import Reporter
from trainer.recipe import DataRecipe, ImpressionsConfig, InteractionsConfig, ItemsConfig, ObjectiveConfig, UsersConfig


def read(folder: Path, ids: Sequence[object], table: Sequence[object], *, of_users: bool = False) -> Dataset:
    """The data set of interactions with these items, or users, and of a table of others."""
    others = [f"o{row % 2}" for row in range(len(ids))]
    users, items = (ids, others) if of_users else (others, ids)
    frame = pl.DataFrame({"user_id": users, "item_id": items, "timestamp": range(len(ids))})
    frame.write_parquet(folder / "interactions.parquet")
    recipe = DataRecipe(users=UsersConfig()) if of_users else DataRecipe(items=ItemsConfig(only_listed=False))
    file, column = ("users", "user_id") if of_users else ("items", "item_id")
    pl.DataFrame({column: table}).write_parquet(folder / f"{file}.parquet")
    return load(folder, recipe)


@pytest.mark.parametrize("of_users", [False, True])
@pytest.mark.parametrize(
    ("ids", "table", "form"),
    [
        (["010", "020"], [10, 20], "leading zeros, such as '10' and '010'"),
        (["10.0", "20.0"], [10, 20], "a trailing .0, such as '10' and '10.0'"),
        (["a ", "b "], ["a", "b"], "spaces around them, such as 'a' and 'a '"),
        (["A1", "B2"], ["a1", "b2"], "letter case, such as 'a1' and 'A1'"),
        (["caf\u00e9", "th\u00e9"], ["cafe\u0301", "the\u0301"], "the Unicode form (NFC, NFD), such as"),
        (["010.0", "020.0"], [10, 20], "several of leading zeros, a trailing .0,"),
    ],
)
def test_tables_without_an_id_in_common_are_refused(
    tmp_path: Path, ids: list[object], table: list[object], form: str, of_users: bool
) -> None:
    """Proves that the message has both counts, ids of each side, and the form that they differ in."""
    with pytest.raises(DataError) as refused:
        read(tmp_path, ids, table, of_users=of_users)
    said, kind = str(refused.value), "users" if of_users else "items"
    assert said.startswith(f"{kind}.parquet: none of its 2 ids is among the 2 {kind} of interactions.parquet; only the")
    assert f"; 2 differ only in {form}" in said


def test_ids_without_any_likeness_are_refused_with_examples(tmp_path: Path) -> None:
    """Proves that no form is named that explains nothing, and that three ids of each side are shown."""
    said = "only the first has 'e', 'f', 'g' and only the second has 'a', 'b', 'c'; write the ids alike in both$"
    with pytest.raises(DataError, match=said):
        read(tmp_path, list("abcd"), list("efgh"))


def test_few_ids_in_common_are_warned_about(tmp_path: Path) -> None:
    """Proves the threshold, half of the smaller side: new items, and items that the table lacks, are normal."""
    (warning,) = read(tmp_path, list("abcd"), list("dxyzw")).warnings
    assert warning == (
        "items.parquet: 1 of its 5 ids are among the 4 items of interactions.parquet; only the first has 'w', 'x', 'y' "
        "and only the second has 'a', 'b', 'c'"
    )
    assert read(tmp_path, list("abcd"), list("cdxyzwvut")).warnings == ()
    assert read(tmp_path, list("abcdefgh"), list("a")).warnings == ()


def test_a_near_miss_is_warned_about_however_many_match(tmp_path: Path) -> None:
    """Proves that one id of many that lost its zero is named."""
    (warning,) = read(tmp_path, [*"abcdefgh", "010"], [*"abcdefgh", "10", "new"]).warnings
    assert warning.endswith("; 1 differ only in leading zeros, such as '10' and '010'")


def test_ids_that_tables_lack_are_counted(tmp_path: Path) -> None:
    """Proves the counts, and the line that shows them."""
    data = read(tmp_path, list("abcdef"), list("abcnew"))
    assert (data.counts.items_without_row, data.counts.users_without_row) == (2, 0)
    said = list[str]()

    class Heard(Reporter):
        def say(self, text: str) -> None:
            said.append(text)

    report_counts(data, Heard())
    assert "2 items and 0 users of the interactions have no usable row in their tables" in said


def test_impressions_of_few_known_items_are_warned_about(tmp_path: Path) -> None:
    """Proves that impressions are compared with the interactions and the item table together."""
    frame = pl.DataFrame({"user_id": ["u", "v"] * 2, "item_id": ["01", "02", "03", "04"], "timestamp": range(4)})
    frame.write_parquet(tmp_path / "interactions.parquet")
    shown = frame.with_columns(item_id=pl.Series(["1", "2", "3", "04"]), clicked=1)
    shown.write_parquet(tmp_path / "impressions.parquet")
    recipe = DataRecipe(
        interactions=InteractionsConfig(),
        impressions=ImpressionsConfig(),
        objectives={"click": ObjectiveConfig(column="clicked")},
    )
    (warning,) = load(tmp_path, recipe).warnings
    assert warning.startswith("impressions.parquet: 1 of its 4 ids are among the 4 items of the interactions and their")
    assert "3 differ only in leading zeros, such as '1' and '01'" in warning
