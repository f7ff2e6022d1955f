"""From a data directory to a Dataset."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from polars.exceptions import PolarsError

from trainer.data import movielens
from trainer.data.columns import features, parsed
from trainer.data.dataset import DataCounts, Dataset, Ids, Ints, group_by_user
from trainer.data.events import read_events
from trainer.data.tables import Table, read_table
from trainer.errors import DataError
from trainer.recipe import FeatureColumns, Recipe


@dataclass(frozen=True, kw_only=True, eq=False)
class _Sources:
    interactions: Table
    items: Table | None
    users: Table | None


def load(data_dir: Path, recipe: Recipe) -> Dataset:
    """Read the recipe's files, or a MovieLens folder where the recipe's interactions are not there.

    Raises DataError, which names the file, the column, the number of bad rows and the first of them.
    """
    sources = _sources(data_dir, recipe)
    events = read_events(sources.interactions, recipe.interactions)
    item_frame = _feature_frame(sources.items, recipe.items)
    user_frame = _feature_frame(sources.users, recipe.users)
    items = pl.concat([events["item"], item_frame["id"]]).unique().sort()
    users = pl.concat([events["user"], user_frame["id"]]).unique().sort()
    event_names = events["event"].drop_nulls().unique().sort()
    user_rows, item_rows = _rows(users, events["user"]), _rows(items, events["item"])
    offsets, user_events, position = group_by_user(user_rows, len(users))
    return Dataset(
        user_ids=_bytes(users),
        item_ids=_bytes(items),
        user_rows=user_rows,
        item_rows=item_rows,
        times=events["time"].to_numpy(writable=True),
        values=events["value"].to_numpy(writable=True),
        events=_rows(event_names, events["event"]) + 1,
        event_names=tuple(event_names),
        likes=events["like"].to_numpy(writable=True),
        user_offsets=offsets,
        user_events=user_events,
        position=position,
        item_features=features(_aligned(items, item_frame, "id")),
        user_features=features(_aligned(users, user_frame, "id")),
        item_table=_item_table(items, sources.items, recipe),
        counts=DataCounts(
            interactions=len(events),
            users=len(users),
            items=len(items),
            duplicates_dropped=len(sources.interactions.frame) - len(events),
            items_without_interactions=len(items) - len(np.unique(item_rows)),
        ),
    )


def _sources(data_dir: Path, recipe: Recipe) -> _Sources:
    interactions, items, users = recipe.interactions, recipe.items, recipe.users
    if (data_dir / interactions.file).is_file():
        return _Sources(
            interactions=read_table(data_dir / interactions.file),
            items=read_table(data_dir / items.file) if items else None,
            users=read_table(data_dir / users.file) if users else None,
        )
    layout = movielens.find(data_dir)
    if layout is None:
        markers = ", ".join(layout.marker for layout in movielens.LAYOUTS)
        raise DataError(
            f"{data_dir / interactions.file}: no such file; nor is {data_dir} a MovieLens folder, with one of {markers}"
        )
    try:
        return _Sources(
            interactions=layout.interactions(data_dir),
            items=layout.items(data_dir) if items else None,
            users=layout.users(data_dir) if users else None,
        )
    except PolarsError as error:
        raise DataError(f"{data_dir}: has {layout.marker} but not MovieLens' columns: {error}") from error


def _feature_frame(table: Table | None, columns: FeatureColumns | None) -> pl.DataFrame:
    if table is None or columns is None:
        return pl.DataFrame(schema={"id": pl.String})
    return parsed(table, columns)


def _aligned(universe: pl.Series, frame: pl.DataFrame, key: str) -> pl.DataFrame:
    return universe.alias(key).to_frame().join(frame, on=key, how="left", maintain_order="left")


def _item_table(items: pl.Series, table: Table | None, recipe: Recipe) -> pl.DataFrame:
    if table is None or recipe.items is None:
        return items.alias(recipe.interactions.item).to_frame()
    return _aligned(items, table.frame.with_columns(pl.col(recipe.items.id).cast(pl.String)), recipe.items.id)


def _rows(universe: pl.Series, ids: pl.Series) -> Ints:
    """The position [N] of each id in the universe; -1 for a null."""
    return ids.cast(pl.Enum(universe)).to_physical().cast(pl.Int64).fill_null(-1).to_numpy(writable=True)


def _bytes(ids: pl.Series) -> Ids:
    # Polars sorts text by its UTF-8 bytes, so these are in bytewise order.
    return np.array([one.encode() for one in ids], dtype=np.bytes_)
