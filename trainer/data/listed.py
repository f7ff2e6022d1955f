"""The items that lists may hold: those of the item table that are available."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trainer.data.cells import flags, ids
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


@dataclass(frozen=True, kw_only=True, eq=False)
class Catalogue:
    """The item table as lists see it. ``available`` ``[n]`` is whether they may hold each of ``ids``; None without one.

    Items of ``skipped`` have rows, all of which were skipped.
    """

    columns: ItemsConfig
    ids: pl.Series
    skipped: pl.Series
    available: pl.Series | None

    @classmethod
    def of(cls, table: Table | None, columns: ItemsConfig | None, kept: pl.Series, available: pl.Series | None) -> Self:
        """From the table, the ids that are ``kept`` of it, and the result of `availability` for all its rows."""
        if table is None or columns is None or available is None:
            none = pl.Series([], dtype=pl.String)
            return cls(columns=ItemsConfig(), ids=none, skipped=none, available=None)
        found = ids(table, columns.id).drop_nulls().unique()
        skipped = found.filter(~found.is_in(kept.implode()))
        return cls(columns=columns, ids=kept, skipped=skipped, available=table.kept(available))

    @property
    def unavailable(self) -> int:
        """How many items of the table lists may not hold."""
        return 0 if self.available is None else int((~self.available).sum())

    def listed(self, items: pl.Series) -> NDArray[np.bool_]:
        """Whether lists may hold each item ``[I]``. Raises DataError if they may hold none."""
        if self.available is None:
            return np.ones(len(items), dtype=np.bool_)
        known = pl.DataFrame({"id": self.ids, "listed": self.available})
        if self.columns.available is not None:
            # A skipped row may have said that its item is unavailable.
            known = pl.concat([known, pl.DataFrame({"id": self.skipped, "listed": False}, schema=known.schema)])
        aligned = items.alias("id").to_frame().join(known, on="id", how="left", maintain_order="left")
        found = aligned["listed"].fill_null(not self.columns.only_listed).to_numpy().copy()
        if not found.any():
            raise DataError(
                f"{self.columns.file}, column {self.columns.available!r}: no item is available, so that no list could "
                "hold any"
            )
        return found

    def unlisted(self, name: str, dataset: Dataset) -> Iterator[str]:
        """Warnings about items of the interactions that are in no list.

        Items that the table lacks or that were skipped are always one. Unavailable ones are normal, and one when they
        have many interactions.
        """
        if dataset.listed.all():
            return
        known, skipped = (np.isin(dataset.item_ids, _bytes(one)) for one in (self.ids, self.skipped))
        if lacking := _share(dataset, ~known & ~skipped):
            yield (
                f"{name}: {lacking}, are not in {self.columns.file}; they stay in histories and are in no list; "
                "[items] only_listed = false lists them"
            )
        if of_skipped := _share(dataset, skipped):
            yield (
                f"{name}: {of_skipped}, have only skipped rows in {self.columns.file}; they stay in histories and are "
                "in no list"
            )
        unavailable, counts = _interactions(dataset, known), dataset.counts
        if unavailable > _MANY * counts.interactions:
            yield (
                f"{name}: {unavailable:,} of {counts.interactions:,} interactions are with items that "
                f"{self.columns.available!r} keeps out of lists; they stay in histories, and no figure tells how well "
                "such items are found"
            )


def _share(dataset: Dataset, rows: NDArray[np.bool_]) -> str:
    """How many unlisted items are among these rows ``[I]``, with how many interactions; empty for none."""
    count, counts = int((~dataset.listed & rows).sum()), dataset.counts
    if not count:
        return ""
    of_them = _interactions(dataset, rows)
    return f"{count:,} of {counts.items:,} items, with {of_them:,} of {counts.interactions:,} interactions"


def _interactions(dataset: Dataset, rows: NDArray[np.bool_]) -> int:
    """How many interactions are with unlisted items among these rows ``[I]``."""
    return int((~dataset.listed & rows)[dataset.item_rows].sum(dtype=np.int64))


def _bytes(found: pl.Series) -> NDArray[np.bytes_]:
    return np.array([one.encode() for one in found], dtype=np.bytes_)
