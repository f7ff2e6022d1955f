"""The interactions as events: checked, without duplicates, in time order; never all of them in memory.

An external merge sort: each table is checked, sorted by time and written as one run. Then one span of time after the
other is read from all the runs.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl

from shortlist.forgotten_list import ForgottenList
from trainer.data import arrays
from trainer.data.arrays import array
from trainer.data.bad_rows import BadRows
from trainer.data.cells import ids, values
from trainer.data.dataset import EventArrays, Ints
from trainer.data.forgotten import is_kept
from trainer.data.table import Table
from trainer.data.time_texts import SECOND
from trainer.data.times import Times, read_times, refuse_future, refuse_other_unit
from trainer.errors import DataError, RecipeError
from trainer.recipe import DataRecipe, InteractionsConfig

_SAMPLED = 2**10
# Rows that a reader may skip together by their times.
_ROW_GROUP = 2**14
_ALL_TIME = 2**63 - 1
MOST_EVENT_NAMES = 2**16 - 1
"""Histories have two bytes for an event, in memory, in bundles and between the services; 0 is an unknown one."""
_NAMES_SHOWN = 20


@dataclass(frozen=True, kw_only=True, eq=False)
class EventLog:
    """Checked events in runs on disk, and all the ids in them, each once and in no order."""

    columns: InteractionsConfig
    runs: list[Path]
    edges: list[int]
    """Ascending times; from one to the next there are about as many events as are worked on at a time."""
    users: pl.Series
    items: pl.Series
    events: pl.Series
    rows: int
    name: str
    warnings: tuple[str, ...] = ()

    def spans(self) -> Iterator[pl.DataFrame]:
        """Events `user`, `item`, `event` (text), `time` (nanoseconds since 1970), `value` (float32) and `like`.

        They are in time order, and events of one time keep the order of the file. The last in the file counts among
        rows with the same user, item, time and event. `event` is null and `value` NaN where there is no such column.
        """
        for first, end in pairwise(self.edges):
            span = pl.scan_parquet(self.runs).filter(pl.col("time").is_between(first, end, closed="left")).collect()
            kept = span.unique(["user", "item", "time", "event"], keep="last", maintain_order=True)
            yield kept.sort("time", maintain_order=True).with_columns(like=_likes(self.columns))


class _Runs:
    """Writes events as runs, each sorted by time and about as long as the events that are worked on at a time."""

    def __init__(self, folder: Path) -> None:
        self.files: list[Path] = []
        self.samples: list[pl.Series] = []
        self.universes = {column: pl.Series(column, [], dtype=pl.String) for column in ("user", "item", "event")}
        self._folder = folder
        self._pending: list[pl.DataFrame] = []

    def add(self, events: pl.DataFrame) -> None:
        """Takes events. A folder may have thousands of files with a few each."""
        self._pending.append(events)
        if sum(one.height for one in self._pending) >= arrays.CHUNK:
            self.write()

    def write(self) -> None:
        """Writes the run that is begun."""
        if not self._pending:
            return
        frame = pl.concat(self._pending).sort("time", maintain_order=True)
        self._pending = []
        self.files.append(self._folder / f"{len(self.files):06}.parquet")
        frame.write_parquet(self.files[-1], compression="lz4", row_group_size=_ROW_GROUP)
        self.samples.append(frame["time"].gather_every(_SAMPLED))
        for column, known in self.universes.items():
            self.universes[column] = pl.concat([known, frame[column].drop_nulls()]).unique()


def used_columns(columns: InteractionsConfig) -> list[str]:
    """The columns of the table that `read_events` looks at."""
    time = None if columns.rows_in_order else columns.time
    named = (columns.user, columns.item, time, columns.event, columns.value)
    return [name for name in named if name is not None]


def read_events(
    tables: Iterable[Table],
    columns: InteractionsConfig,
    folder: Path,
    bad: BadRows | None = None,
    forgotten: ForgottenList | None = None,
) -> EventLog:
    """Check the tables, whose bad rows are counted as `bad`, and write them as runs into a folder.

    Events of `forgotten` users are left out. Raises DataError for unreadable cells, for fewer than two users and for
    too many names of events.
    """
    runs, places, rows, name, units, left_out = _Runs(folder), 0, 0, "", dict[str, set[str]](), 0
    for table in tables:
        name = table.name.partition("/")[0]
        found = _times(table, columns, places)
        of_file = units.setdefault(name, set())
        of_file |= set() if found.unit is None else {found.unit}
        refuse_other_unit(name, columns.time, of_file)
        given = table.kept(_events(table, columns, found.nanoseconds))
        checked = given.filter(is_kept(forgotten, given["user"], None if columns.rows_in_order else given["time"]))
        left_out += given.height - checked.height
        runs.add(checked)
        places, rows = places + table.frame.height, rows + checked.height
    warnings = () if bad is None else tuple(bad.warnings())
    if left_out:
        warnings += (f"{name}: {left_out:,} interactions of forgotten users were left out",)
    runs.write()
    users, items, events = (runs.universes[column] for column in ("user", "item", "event"))
    if len(users) < 2:
        raise DataError(f"{name}, column {columns.user!r}: has one user; a recommender needs two or more")
    if len(events) > MOST_EVENT_NAMES:
        raise DataError(
            f"{name}, column {columns.event!r}: has {len(events):,} different events, and at most "
            f"{MOST_EVENT_NAMES:,} can be told apart; name a column of kinds of events, such as view and buy"
        )
    return EventLog(
        columns=columns,
        runs=runs.files,
        edges=_edges(pl.concat(runs.samples).sort().to_numpy()),
        users=users,
        items=items,
        events=events,
        rows=rows,
        name=name,
        warnings=warnings,
    )


def refuse_unknown_events(log: EventLog, recipe: DataRecipe) -> None:
    """Raise RecipeError for a key of the recipe that names an event which the data lacks."""
    known = log.events.sort()
    wanted = {
        "[interactions] positive_events": recipe.interactions.positive_events,
        "[interactions] seen_events": recipe.interactions.seen_events,
    }
    wanted |= {f"[objectives.{name}] events": one.events for name, one in recipe.objectives.items()}
    for key, names in wanted.items():
        unknown = sorted(set(names) - set(known))
        if unknown and recipe.interactions.event is None:
            raise RecipeError(f"{key}: needs [interactions] event, the name of the column they are found in")
        if unknown:
            more = f" and {len(known) - _NAMES_SHOWN:,} more" if len(known) > _NAMES_SHOWN else ""
            there = ", ".join(map(repr, known.head(_NAMES_SHOWN)))
            raise RecipeError(
                f"{key}: {log.name}, column {recipe.interactions.event!r}, has no {', '.join(map(repr, unknown))}; "
                f"its events are {there}{more}"
            )


def event_arrays(log: EventLog, users: pl.Series, items: pl.Series, event_names: pl.Series) -> EventArrays:
    """The log's events in time order, with positions in the users, items and names for their ids.

    Events of one user and one time have no order among them. They lie side by side, in an order by lot that does not
    depend on the file. All others of one time keep the order of the file.

    Raises DataError when no event is a like.
    """
    found = EventArrays(
        user_rows=array(log.rows, np.int64),
        item_rows=array(log.rows, np.int64),
        times=array(log.rows, np.int64),
        values=array(log.rows, np.float32),
        events=array(log.rows, np.int64),
        likes=array(log.rows, np.bool_),
    )
    user_kind, item_kind, event_kind = pl.Enum(users), pl.Enum(items), pl.Enum(event_names)
    lots, end = np.random.default_rng(0).permutation(len(items)), 0
    for span in log.spans():
        columns = {
            "user_rows": _rows(span["user"], user_kind),
            "item_rows": _rows(span["item"], item_kind),
            "times": span["time"].to_numpy(),
            "values": span["value"].to_numpy(),
            "events": _rows(span["event"], event_kind) + 1,
            "likes": span["like"].to_numpy(),
        }
        order = _without_file_order(
            columns["times"], columns["user_rows"], lots[columns["item_rows"]], columns["events"]
        )
        for name, column in columns.items():
            getattr(found, name)[end : end + span.height] = column[order]
        end += span.height
    if not found.likes.any():
        raise DataError(f"{log.name}: no row is a like by the recipe's positive_value and positive_events")
    return EventArrays(**{name: column[:end] for name, column in vars(found).items()})


def _without_file_order(times: Ints, user_rows: Ints, *keys: Ints) -> Ints:
    """Places [n] of events in time order: by user and keys at each time at which one user has several events."""
    users, time = int(user_rows.max(initial=0)) + 1, np.cumsum(np.diff(times, prepend=times[:1]) != 0)
    pairs = np.sort(time * users + user_rows)
    several = np.unique(pairs[1:][np.diff(pairs) == 0] // users)
    order, places = np.arange(len(times)), np.flatnonzero(np.isin(time, several))
    order[places] = places[np.lexsort((*(key[places] for key in reversed(keys)), user_rows[places], time[places]))]
    return order


def _rows(ids: pl.Series, universe: pl.Enum) -> Ints:
    """The position [n] of each id in the universe; -1 for a null."""
    return ids.cast(universe).to_physical().cast(pl.Int64).fill_null(-1).to_numpy()


def checked_pairs(table: Table, columns: InteractionsConfig) -> pl.DataFrame:
    """The `user` and `item` of each row ``[n]``; skips rows and raises DataError as `read_events` does."""
    return _events(table, columns, _times(table, columns, 0).nanoseconds).select("user", "item")


def _events(table: Table, columns: InteractionsConfig, time: pl.Series) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "user": ids(table, columns.user),
            "item": ids(table, columns.item),
            "time": time,
            "event": ids(table, columns.event) if columns.event else None,
            "value": values(table, columns.value) if columns.value else float("nan"),
        },
        schema_overrides={"event": pl.String, "value": pl.Float32},
    )


def _times(table: Table, columns: InteractionsConfig, before: int) -> Times:
    """Times of the column, or a second for each row, behind as many rows `before`."""
    if columns.rows_in_order:
        return Times(nanoseconds=pl.Series(np.arange(before, before + table.frame.height) * SECOND), unit=None)
    found = read_times(table, columns.time)
    refuse_future(table, columns.time, found.nanoseconds)
    return found


def _edges(sample: Ints) -> list[int]:
    """From one in `_SAMPLED` of the times, ascending."""
    inner = np.unique(sample[arrays.CHUNK // _SAMPLED :: arrays.CHUNK // _SAMPLED])
    return [0, *(int(time) for time in inner if time > 0), _ALL_TIME]


def _likes(columns: InteractionsConfig) -> pl.Expr:
    rules = []
    if columns.positive_value is not None:
        rules.append(pl.col("value") >= columns.positive_value)
    if columns.positive_events:
        rules.append(pl.col("event").is_in(columns.positive_events))
    return pl.any_horizontal(rules) if rules else pl.lit(True)
