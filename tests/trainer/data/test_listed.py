"""The items that lists may hold, by the item table and its column of availability."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from trainer.data import Dataset, load
from trainer.data.split import targets
from trainer.errors import DataError
from trainer.evaluation.queries import Queries
from trainer.evaluation.rankings import rankings
from trainer.protocols.leave_one_out import leave_one_out
from trainer.recipe import DataConfig, DataRecipe, InteractionsConfig, ItemsConfig

PLAYS = InteractionsConfig(file="plays.parquet")
EVENTS = {
    "user_id": ["u"] * 5 + ["v"] * 5,
    "item_id": ["a", "b", "c", "gone", "d", "b", "a", "gone", "d", "c"],
    "timestamp": range(10),
}


def loaded(folder: Path, items: ItemsConfig | None, **table: list[object]) -> Dataset:
    """The dataset of these interactions and an item table of these columns."""
    pl.DataFrame(EVENTS).write_parquet(folder / "plays.parquet")
    pl.DataFrame({"item_id": ["a", "b", "c", "d", "new"], **table}).write_parquet(folder / "items.parquet")
    return load(folder, DataRecipe(interactions=PLAYS, items=items))


def listed(dataset: Dataset) -> list[str]:
    """The ids that lists may hold."""
    return [one.decode() for one in dataset.item_ids[dataset.listed]]


def test_items_that_the_item_table_lacks_are_in_no_list(tmp_path: Path) -> None:
    """Proves the default, that the items are counted, and that their events stay."""
    data = loaded(tmp_path, ItemsConfig())
    assert listed(data) == ["a", "b", "c", "d", "new"]
    assert data.counts.interactions == 10
    assert data.warnings == (
        "plays.parquet: 1 of 6 items, with 2 of 10 interactions, are not in items.parquet; they stay in histories and "
        "are in no list; [items] only_listed = false lists them",
    )


def test_all_items_are_listed_when_the_recipe_says_so_or_has_no_item_table(tmp_path: Path) -> None:
    """Proves both, without a warning."""
    for items in (ItemsConfig(only_listed=False), None):
        data = loaded(tmp_path, items)
        assert data.listed.all()
        assert data.warnings == ()


@pytest.mark.parametrize(
    "cells",
    [
        [True, False, True, True, True],
        [1, 0, 1, 1, 1],
        [1.0, 0.0, 1.0, 1.0, 1.0],
        ["true", "False", " 1 ", "TRUE", "1"],
    ],
)
def test_a_column_says_which_items_lists_may_hold(tmp_path: Path, cells: list[object]) -> None:
    """Proves it for every spelling of a truth."""
    data = loaded(tmp_path, ItemsConfig(available="stock"), stock=cells)
    assert listed(data) == ["a", "c", "d", "new"]
    assert data.counts.items_unavailable == 1


def test_many_interactions_with_unavailable_items_are_a_warning(tmp_path: Path) -> None:
    """Proves that two of ten are many, and that an item which nobody had is none."""
    data = loaded(tmp_path, ItemsConfig(available="stock", only_listed=False), stock=[1, 0, 1, 1, 1])
    assert data.warnings == (
        "plays.parquet: 2 of 10 interactions are with items that 'stock' keeps out of lists; they stay in histories, "
        "and no figure tells how well such items are found",
    )
    assert not loaded(tmp_path, ItemsConfig(available="stock", only_listed=False), stock=[1, 1, 1, 1, 0]).warnings


@pytest.mark.parametrize("cell", [None, "yes", "2", ""])
def test_a_cell_that_is_no_truth_is_refused(tmp_path: Path, cell: str | None) -> None:
    """Proves that a missing cell is no default."""
    with pytest.raises(DataError, match=r"'stock': neither true nor false, 1 nor 0, in 1 of 5 rows; first row 3"):
        loaded(tmp_path, ItemsConfig(available="stock"), stock=["1", "0", cell, "1", "1"])


def test_a_catalogue_without_an_available_item_is_refused(tmp_path: Path) -> None:
    """Proves that nobody gets a service of empty lists."""
    with pytest.raises(DataError, match=r"items.parquet, column 'stock': no item is available"):
        loaded(tmp_path, ItemsConfig(available="stock"), stock=[0, 0, 0, 0, 0])


def test_lists_of_an_evaluation_hold_no_other_item(tmp_path: Path) -> None:
    """Proves it for a model that ranks such an item first, and that such an item is nothing to be found."""
    data = loaded(tmp_path, ItemsConfig(available="stock"), stock=[1, 1, 1, 0, 1])
    ids = [one.decode() for one in data.item_ids]
    events = targets(data, 0, 10)
    assert {ids[row] for row in data.item_rows[events]} == {"a", "b", "c"}
    queries = Queries.of_events(data, events)
    found = rankings(lambda profiles: -data.listed[None].repeat(len(profiles), 0).astype(float), queries, 6, 5)
    assert {ids[row] for row in found.rows.ravel() if row >= 0} == {"a", "b", "c", "new"}
    assert found.allowed.tolist() == data.listed.tolist()


def test_a_protocol_counts_the_events_that_lists_cannot_answer(tmp_path: Path) -> None:
    """Proves that a test whose item is unavailable is left out, and said to be."""
    items = ["a", "gone", "b", "c", "d", "d", "a", "gone", "b", "c"]
    loaded(tmp_path, ItemsConfig(available="stock"), stock=[1, 1, 1, 0, 1])
    pl.DataFrame({**EVENTS, "item_id": items}).write_parquet(tmp_path / "plays.parquet")
    data = load(tmp_path, DataRecipe(interactions=PLAYS, items=ItemsConfig(available="stock")))
    task = leave_one_out(data, DataRecipe(), tmp_path)
    assert (len(task.validation), len(task.test)) == (2, 1)
    assert "test: 1 of 2 events to be found are of items that no list may hold" in task.warnings
    assert not any("repeats" in text for text in task.warnings)


SKIPPED = (
    "items.csv: 2 of 6 rows (33.3 %) were skipped: column 'year': no finite number in 2, first row 1: 'x', row 3: 'x'"
)
TABLE = "item_id,stock,year\na,0,x\nb,0,1991\nc,1,x\nd,1,1993\nnew,1,1994\nd2,1,1995\n"


def loaded_with_skipped(folder: Path, items: ItemsConfig, table: str = TABLE) -> Dataset:
    """The dataset of the interactions above and of an item table with bad rows, which are skipped."""
    pl.DataFrame(EVENTS).write_parquet(folder / "plays.parquet")
    (folder / "items.csv").write_text(table)
    skipping = DataConfig(bad_rows="skip up to 50 %")
    return load(folder, DataRecipe(data=skipping, interactions=PLAYS, items=replace(items, file="items.csv")))


def test_items_of_skipped_rows_stay_unlisted_where_availability_counts(tmp_path: Path) -> None:
    """Proves that a bad year brings no unavailable item into lists, and that items outside of the table stay."""
    columns = ItemsConfig(available="stock", numeric=("year",), only_listed=False)
    data = loaded_with_skipped(tmp_path, columns)
    assert listed(data) == ["d", "d2", "gone", "new"]
    assert data.warnings == (
        SKIPPED,
        "plays.parquet: 2 of 7 items, with 4 of 10 interactions, have only skipped rows in items.csv; they stay in "
        "histories and are in no list",
        "plays.parquet: 2 of 10 interactions are with items that 'stock' keeps out of lists; they stay in histories, "
        "and no figure tells how well such items are found",
    )


def test_a_warning_tells_skipped_items_from_lacking_ones(tmp_path: Path) -> None:
    """Proves that an item with a bad year is not said to be missing in the table."""
    data = loaded_with_skipped(tmp_path, ItemsConfig(numeric=("year",)))
    assert listed(data) == ["b", "d", "d2", "new"]
    assert data.warnings == (
        SKIPPED,
        "plays.parquet: 1 of 7 items, with 2 of 10 interactions, are not in items.csv; they stay in histories and are "
        "in no list; [items] only_listed = false lists them",
        "plays.parquet: 2 of 7 items, with 4 of 10 interactions, have only skipped rows in items.csv; they stay in "
        "histories and are in no list",
    )


def test_without_availability_every_item_may_be_listed_with_its_row_skipped(tmp_path: Path) -> None:
    """Proves that a table that says nothing of lists takes no item out of them."""
    assert loaded_with_skipped(tmp_path, ItemsConfig(numeric=("year",), only_listed=False)).listed.all()


@pytest.mark.parametrize("line", ["a", "a,0", "a,0,1990,more", '"a",0,"1990', 'a,0,"19"90', '"a","0"'])
def test_an_item_of_a_line_that_is_no_row_stays_unlisted(tmp_path: Path, line: str) -> None:
    """Proves that an unavailable item is in no list though its line cannot be read to the end."""
    table = TABLE.replace("a,0,x", line).replace("c,1,x", "c,1,1992")
    columns = ItemsConfig(available="stock", numeric=("year",), only_listed=False)
    assert listed(loaded_with_skipped(tmp_path, columns, table)) == ["c", "d", "d2", "gone", "new"]
