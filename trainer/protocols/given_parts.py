"""Splits that were published with the data: which part each event belongs to."""

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trainer.data import Dataset
from trainer.data.bad_rows import SHOWN, SHOWN_WIDTH, BadRows
from trainer.data.events import checked_pairs
from trainer.data.load import interactions_table
from trainer.data.table import Table
from trainer.data.tables import read_table
from trainer.errors import DataError, RecipeError
from trainer.protocols.task import TEST, TRAIN, VALIDATION
from trainer.recipe import DataRecipe

_PARTS = {"train": TRAIN, "validation": VALIDATION, "valid": VALIDATION, "vali": VALIDATION, "test": TEST}


def given_parts(dataset: Dataset, recipe: DataRecipe, data: Path) -> NDArray[np.int64]:
    """The part ``[N]`` of each event: from the recipe's column, or test for its test file's events and else train.

    Raises:
        RecipeError: the recipe names neither.
        DataError: the column has another name than a part's, or an interaction is in several parts.
    """
    columns = recipe.interactions
    if recipe.split.column:
        table = interactions_table(data, recipe)
        pairs = checked_pairs(table, columns)
        parts = pairs.with_columns(part=part_codes(table, recipe.split.column))
        return _of_events(dataset, table.kept(parts), recipe)
    if recipe.split.test_file:
        files = {columns.file: TRAIN, recipe.split.test_file: TEST}
        tables = {read_table(data / file, BadRows.of(recipe, file)): part for file, part in files.items()}
        of_tables = [
            table.kept(checked_pairs(table, columns)).with_columns(part=pl.lit(part)) for table, part in tables.items()
        ]
        return _of_events(dataset, pl.concat(of_tables), recipe)
    raise RecipeError("[split] column, test_file: neither is there, and the protocol needs the split of one of them")


def part_codes(table: Table, column: str) -> pl.Series:
    """The part of each row, -1 for one that is skipped. Raises DataError for a cell that is not a part's name."""
    part = table.column(column).cast(pl.String)
    # Other protocols do not read this column, so that no row was skipped for it when the data was loaded.
    bad = (~part.is_in(list(_PARTS))).fill_null(True)
    table.refuse(column, bad, f"none of {', '.join(_PARTS)}", always=True)
    return part.replace_strict(_PARTS, default=-1, return_dtype=pl.Int64)


def parts_of(
    dataset: Dataset,
    user_rows: NDArray[np.int64],
    item_rows: NDArray[np.int64],
    parts: pl.DataFrame,
    recipe: DataRecipe,
) -> pl.Series:
    """The ``part`` of each interaction ``[N]``, from that of a `user` and an `item`.

    Raises:
        DataError: these are in several parts.
    """
    users, items = _text(dataset.user_ids), _text(dataset.item_ids)
    events = pl.DataFrame({"user": users.gather(user_rows), "item": items.gather(item_rows)})
    known = parts.unique(["user", "item"], keep="first")
    if len(known) < len(parts.unique()):
        distinct = parts.unique(maintain_order=True)
        several = distinct.filter(distinct.select("user", "item").is_duplicated())
        columns = {"user": recipe.interactions.user, "item": recipe.interactions.item}
        pairs_of_several = several.select("user", "item").unique(maintain_order=True).rename(columns)
        refuse_several(recipe, pairs_of_several, len(known))
    return events.join(known, on=["user", "item"], how="left", maintain_order="left")["part"]


def refuse_several(recipe: DataRecipe, several: pl.DataFrame, of: int, so: str = "") -> None:
    """Raises DataError if there are any ids in several parts, of how many, by the columns of the files they are in."""
    if several.is_empty():
        return
    split = recipe.split
    files = [recipe.interactions.file, *([split.test_file] if split.test_file and not split.column else [])]
    columns = f"column{'s' if several.width > 1 else ''} {' and '.join(map(repr, several.columns))}"
    first = ", ".join(" and ".join(f"{one!r:.{SHOWN_WIDTH}}" for one in row) for row in several.head(SHOWN).rows())
    raise DataError(
        f"{' and '.join(files)}, {columns}: {len(several)} of {of} are in several parts of the split{so}; first {first}"
    )


def _of_events(dataset: Dataset, parts: pl.DataFrame, recipe: DataRecipe) -> NDArray[np.int64]:
    return parts_of(dataset, dataset.user_rows, dataset.item_rows, parts, recipe).cast(pl.Int64).to_numpy()


def _text(ids: NDArray[np.bytes_]) -> pl.Series:
    return pl.Series([one.decode() for one in ids])
