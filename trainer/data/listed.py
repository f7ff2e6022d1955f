"""The items that lists may hold: those of the item table that are available."""

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trainer.data.cells import flags
from trainer.data.dataset import Dataset
from trainer.data.table import Table
from trainer.errors import DataError
from trainer.recipe import ItemsConfig

_MANY = 0.1


def availability(table: Table | None, columns: ItemsConfig | None) -> pl.Series | None:
    """Whether lists may hold the item of each row ``[n]``; None without an item table.

    Raises DataError for a cell that does not say so.
    """
    if table is None or columns is None:
        return None
    if columns.available is None:
        return pl.repeat(True, table.frame.height, dtype=pl.Boolean, eager=True)
    return flags(table, columns.available)


def listed_items(
    items: pl.Series, of_table: pl.Series, available: pl.Series | None, columns: ItemsConfig | None
) -> NDArray[np.bool_]:
    """Whether lists may hold each item ``[I]``, by the ids of the item table and whether each is ``available``.

    Raises DataError if they may hold none.
    """
    if available is None or columns is None:
        return np.ones(len(items), dtype=np.bool_)
    known = pl.DataFrame({"id": of_table, "listed": available})
    aligned = items.alias("id").to_frame().join(known, on="id", how="left", maintain_order="left")
    found = aligned["listed"].fill_null(not columns.only_listed).to_numpy().copy()
    if not found.any():
        raise DataError(
            f"{columns.file}, column {columns.available!r}: no item is available, so that no list could hold any"
        )
    return found


def unlisted(name: str, dataset: Dataset, of_table: pl.Series, columns: ItemsConfig | None) -> Iterator[str]:
    """Warnings about items of the interactions that are in no list.

    Items that the table lacks are always one. Unavailable ones are normal, and one when they have many interactions.
    """
    if columns is None or dataset.listed.all():
        return
    counts = dataset.counts
    known = np.isin(dataset.item_ids, np.array([one.encode() for one in of_table], dtype=np.bytes_))
    lacking, unavailable = (
        int((~dataset.listed & rows)[dataset.item_rows].sum(dtype=np.int64)) for rows in (~known, known)
    )
    if columns.only_listed and counts.items_without_row:
        yield (
            f"{name}: {counts.items_without_row:,} of {counts.items:,} items, with {lacking:,} of "
            f"{counts.interactions:,} interactions, are not in {columns.file}; they stay in histories and are in no "
            "list; [items] only_listed = false lists them"
        )
    if unavailable > _MANY * counts.interactions:
        yield (
            f"{name}: {unavailable:,} of {counts.interactions:,} interactions are with items that "
            f"{columns.available!r} keeps out of lists; they stay in histories, and no figure tells how well such "
            "items are found"
        )
