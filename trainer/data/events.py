"""The interactions table as events: checked, without duplicates, in time order."""

import polars as pl

from trainer.data.cells import ids, times, values
from trainer.data.tables import Table
from trainer.errors import DataError
from trainer.recipe import Interactions


def read_events(table: Table, columns: Interactions) -> pl.DataFrame:
    """Events `user`, `item`, `event` (text), `time` (unix seconds), `value` (float32), `like`, sorted by time.

    Stable: events of one second keep the order of the file. Of the same user, item and time the first is kept. `event`
    is null and `value` NaN where there is no such column. Raises DataError for what cannot be read, for fewer than two
    users, and when no event is a like.
    """
    frame = pl.DataFrame(
        {
            "user": ids(table, columns.user),
            "item": ids(table, columns.item),
            "time": times(table, columns.time),
            "event": ids(table, columns.event) if columns.event else None,
            "value": values(table, columns.value) if columns.value else float("nan"),
        },
        schema_overrides={"event": pl.String, "value": pl.Float32},
    )
    if frame["user"].n_unique() < 2:
        raise DataError(f"{table.name}, column {columns.user!r}: has one user; a recommender needs two or more")
    kept = frame.unique(["user", "item", "time"], keep="first", maintain_order=True).sort("time", maintain_order=True)
    kept = kept.with_columns(like=_likes(columns))
    if not kept["like"].any():
        raise DataError(f"{table.name}: no row is a like by the recipe's positive_value and positive_events")
    return kept


def _likes(columns: Interactions) -> pl.Expr:
    rules = []
    if columns.positive_value is not None:
        rules.append(pl.col("value") >= columns.positive_value)
    if columns.positive_events:
        rules.append(pl.col("event").is_in(columns.positive_events))
    return pl.any_horizontal(rules) if rules else pl.lit(True)
