"""Splits that were published with the data: which part each event belongs to."""

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trainer.data import Dataset
from trainer.data.cells import ids
from trainer.data.tables import Table, read_table
from trainer.errors import DataError, RecipeError
from trainer.protocols.task import TEST, TRAIN, VALIDATION
from trainer.recipe import Recipe

_PARTS = {"train": TRAIN, "validation": VALIDATION, "valid": VALIDATION, "vali": VALIDATION, "test": TEST}


def given_parts(dataset: Dataset, recipe: Recipe, data: Path) -> NDArray[np.int64]:
    """The part ``[N]`` of each event: of the recipe's column, or test for what is in its test file and train else.

    Raises:
        RecipeError: the recipe names neither.
        DataError: the column has something else than a part's name.
    """
    columns = recipe.interactions
    if recipe.split.column:
        table = read_table(data / columns.file)
        codes = part_codes(table, recipe.split.column)
        return _of_events(dataset, _pairs(table, recipe).with_columns(part=codes))
    if recipe.split.test_file:
        files = {columns.file: TRAIN, recipe.split.test_file: TEST}
        pairs = [
            _pairs(read_table(data / file), recipe).with_columns(part=pl.lit(part)) for file, part in files.items()
        ]
        return _of_events(dataset, pl.concat(pairs))
    raise RecipeError("[split] column, test_file: neither is there, and the protocol needs the split of one of them")


def part_codes(table: Table, column: str) -> pl.Series:
    """The part of each row. Raises DataError for what is not a part's name."""
    part = table.column(column).cast(pl.String)
    table.refuse(column, (~part.is_in(list(_PARTS))).fill_null(True), f"none of {', '.join(_PARTS)}")
    return part.replace_strict(_PARTS, return_dtype=pl.Int64)


def _pairs(table: Table, recipe: Recipe) -> pl.DataFrame:
    columns = recipe.interactions
    return pl.DataFrame({"user": ids(table, columns.user), "item": ids(table, columns.item)})


def _of_events(dataset: Dataset, parts: pl.DataFrame) -> NDArray[np.int64]:
    users, items = _text(dataset.user_ids), _text(dataset.item_ids)
    events = pl.DataFrame({"user": users.gather(dataset.user_rows), "item": items.gather(dataset.item_rows)})
    known = parts.unique(["user", "item"], keep="first")
    if len(known) < len(parts.unique()):
        raise DataError("an interaction is in several parts of the split")
    found = events.join(known, on=["user", "item"], how="left", maintain_order="left")["part"]
    return found.cast(pl.Int64).to_numpy()


def _text(ids: NDArray[np.bytes_]) -> pl.Series:
    return pl.Series([one.decode() for one in ids])
