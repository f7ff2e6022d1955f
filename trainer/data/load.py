"""From a data directory to a Dataset."""

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from polars.exceptions import PolarsError

from shortlist.bundle.history import SeenEvents
from shortlist.forgotten_list import ForgottenList
from trainer.data import movielens
from trainer.data.bad_rows import BadRows
from trainer.data.cells import ids
from trainer.data.columns import features, other_separators, parsed, silent_columns
from trainer.data.dataset import DataCounts, Dataset, Features, Histories, Ids, group_by_user
from trainer.data.events import event_arrays, read_events, refuse_unknown_events, used_columns
from trainer.data.forgotten import is_kept
from trainer.data.impressions import read_impressions
from trainer.data.learnt_columns import LearntColumns
from trainer.data.listed import Catalogue, availability
from trainer.data.matching import Side, compare_ids
from trainer.data.sentences import with_model
from trainer.data.table import Table, skipping
from trainer.data.tables import read_in_turn, read_table
from trainer.errors import DataError
from trainer.files import check_data_folder
from trainer.live.position import read_position
from trainer.recipe import DataRecipe, FeatureColumns, ItemsConfig, UsersConfig

_MANY_DUPLICATES = 0.01
_MANY_TIES = 0.1


@dataclass(frozen=True, kw_only=True, eq=False)
class _Sources:
    interactions: Iterable[Table]
    items: Table | None
    users: Table | None
    bad: BadRows | None
    """The bad rows of the interactions."""


def load(
    data_dir: Path,
    recipe: DataRecipe,
    before: LearntColumns | None = None,
    forgotten: ForgottenList | None = None,
) -> Dataset:
    """Read the recipe's files, or a MovieLens folder where the recipe's interactions are not there.

    Nothing of `forgotten` users from before the forgetting is read. A row of the user table has no time, and goes.
    Features are learnt from the tables, or made as they were `before`, for models that are there already.

    At most a few hundred megabytes of Parquet interactions are in memory at once, here and later. Longer ones stay in
    temporary files. Raises DataError, which names the file, the column, the number of bad rows and the first.
    Raises RecipeError for `sentences` without a model and for events that the data lacks.
    """
    # Before the interactions are read, which may take long.
    recipe = replace(recipe, items=with_model(recipe.items, data_dir), users=with_model(recipe.users, data_dir))
    sources = _sources(data_dir, recipe)
    with tempfile.TemporaryDirectory() as folder:
        log = read_events(sources.interactions, recipe.interactions, Path(folder), sources.bad, forgotten)
        refuse_unknown_events(log, recipe)
        available = availability(sources.items, recipe.items)
        item_frame = _feature_frame(sources.items, recipe.items)
        catalogue = Catalogue.of(sources.items, recipe.items, item_frame["id"], available)
        user_frame = _feature_frame(sources.users, recipe.users)
        user_frame = user_frame.filter(is_kept(forgotten, user_frame["id"], None))
        warnings = [
            *log.warnings,
            *_skipped(sources.items),
            *_skipped(sources.users),
            *_compared(log.name, log.items, sources.items, item_frame["id"], "items"),
            *_compared(log.name, log.users, sources.users, user_frame["id"], "users"),
        ]
        items = pl.concat([log.items, item_frame["id"]]).unique().sort()
        listed = catalogue.listed(items)
        users = pl.concat([log.users, user_frame["id"]]).unique().sort()
        event_names = log.events.sort()
        events = event_arrays(log, users, items, event_names)
    impressions = read_impressions(data_dir, recipe, users, items, warnings, forgotten)
    offsets, user_events, position = group_by_user(events.user_rows, events.times, len(users))
    counts = DataCounts(
        interactions=len(events.times),
        users=len(users),
        items=len(items),
        duplicates_dropped=log.rows - len(events.times),
        items_without_interactions=len(items) - len(log.items),
        items_without_row=0 if sources.items is None else len(items) - len(item_frame),
        users_without_row=0 if sources.users is None else len(users) - len(user_frame),
        items_unavailable=catalogue.unavailable,
    )
    dataset = Dataset(
        **vars(events),
        user_ids=_bytes(users),
        item_ids=_bytes(items),
        event_names=tuple(event_names),
        seen_events=SeenEvents.of(tuple(event_names), recipe.interactions.excluding_events),
        user_offsets=offsets,
        user_events=user_events,
        position=position,
        histories=Histories.of(events, user_events),
        item_features=features(
            _aligned(items, item_frame, "id"), recipe.items or ItemsConfig(), None if before is None else before.items
        ),
        user_features=features(
            _aligned(users, user_frame, "id"), recipe.users or UsersConfig(), None if before is None else before.users
        ),
        item_table=_item_table(items, sources.items, recipe),
        counts=counts,
        listed=listed,
        impressions=impressions,
        forgotten_position=None if forgotten is None else forgotten.position,
        # A table of users may have some whom the live service has forgotten.
        known_position=None if recipe.users else read_position(data_dir / recipe.interactions.file),
    )
    further = (
        *catalogue.unlisted(log.name, dataset),
        *_duplicates(log.name, counts),
        *_ties(log.name, dataset),
        *_silent(sources.items, recipe.items, dataset.item_features),
        *_silent(sources.users, recipe.users, dataset.user_features),
    )
    return replace(dataset, warnings=(*warnings, *further))


def _compared(name: str, known: pl.Series, table: Table | None, found: pl.Series, kind: str) -> Iterator[str]:
    if table is not None:
        yield from compare_ids(Side(name=name, ids=known), Side(name=table.name, ids=found), kind)


def _skipped(table: Table | None) -> Iterator[str]:
    if table is not None and table.skipping is not None:
        yield from table.skipping.bad.warnings()


def _silent(table: Table | None, columns: FeatureColumns | None, found: Features) -> Iterator[str]:
    if table is not None and columns is not None:
        yield from other_separators(table, columns)
        yield from silent_columns(table.name, found)


def _duplicates(name: str, counts: DataCounts) -> Iterator[str]:
    rows = counts.interactions + counts.duplicates_dropped
    if counts.duplicates_dropped > _MANY_DUPLICATES * rows:
        yield (
            f"{name}: {counts.duplicates_dropped:,} of {rows:,} rows were dropped because a later row has the same "
            "user, item, time and event"
        )


def _ties(name: str, dataset: Dataset) -> Iterator[str]:
    tied, events = dataset.tied, dataset.counts.interactions
    if tied > _MANY_TIES * events:
        yield (
            f"{name}: {tied:,} of {events:,} interactions have the time of another one of their user; they have no "
            "order, and none of them is in the history of another; finer times would tell more"
        )


def interactions_table(data_dir: Path, recipe: DataRecipe) -> Table:
    """The interactions with all of their columns, at once. Raises DataError as `load` does."""
    file, layout = data_dir / recipe.interactions.file, movielens.find(data_dir)
    bad = BadRows.of(recipe, file.name)
    return read_table(file, bad) if file.exists() or layout is None else skipping(layout.interactions(data_dir), bad)


def _sources(data_dir: Path, recipe: DataRecipe) -> _Sources:
    interactions, items, users = recipe.interactions, recipe.items, recipe.users
    file = data_dir / interactions.file
    bad, bad_items, bad_users = (
        None if one is None else BadRows.of(recipe, Path(one.file).name) for one in (interactions, items, users)
    )
    if file.exists():
        files = [interactions.file, *([recipe.split.test_file] if recipe.split.test_file else [])]
        return _Sources(
            interactions=read_in_turn([data_dir / file for file in files], used_columns(interactions), bad),
            items=read_table(data_dir / items.file, bad_items) if items else None,
            users=read_table(data_dir / users.file, bad_users) if users else None,
            bad=bad,
        )
    layout = movielens.find(data_dir)
    if layout is None:
        check_data_folder(data_dir)
        markers = ", ".join(layout.marker for layout in movielens.LAYOUTS)
        raise DataError(f"{file}: no such file; nor is {data_dir} a MovieLens folder, with one of {markers}")
    try:
        return _Sources(
            interactions=[skipping(layout.interactions(data_dir), bad)],
            items=skipping(layout.items(data_dir), bad_items) if items else None,
            users=skipping(layout.users(data_dir), bad_users) if users else None,
            bad=bad,
        )
    except PolarsError as error:
        raise DataError(f"{data_dir}: has {layout.marker} but not MovieLens' columns: {error}") from error


def _feature_frame(table: Table | None, columns: FeatureColumns | None) -> pl.DataFrame:
    if table is None or columns is None:
        return pl.DataFrame(schema={"id": pl.String})
    return parsed(table, columns)


def _aligned(universe: pl.Series, frame: pl.DataFrame, key: str) -> pl.DataFrame:
    return universe.alias(key).to_frame().join(frame, on=key, how="left", maintain_order="left")


def _item_table(items: pl.Series, table: Table | None, recipe: DataRecipe) -> pl.DataFrame:
    if table is None or recipe.items is None:
        return items.alias(recipe.interactions.item).to_frame()
    return _aligned(items, table.kept(table.frame.with_columns(ids(table, recipe.items.id))), recipe.items.id)


def _bytes(ids: pl.Series) -> Ids:
    # Polars sorts text by its UTF-8 bytes, so these are in bytewise order.
    return np.array([one.encode() for one in ids], dtype=np.bytes_)
