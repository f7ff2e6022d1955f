"""Impressions: the items shown to users, and the outcomes."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shortlist.forgotten_list import ForgottenList
from trainer.data.bad_rows import BadRows
from trainer.data.cells import ids, measures
from trainer.data.context import Context
from trainer.data.forgotten import is_kept
from trainer.data.matching import Side, compare_ids
from trainer.data.table import Table, joined
from trainer.data.tables import read_tables
from trainer.data.times import refuse_future, times
from trainer.errors import RecipeError
from trainer.recipe import DataRecipe, ObjectiveConfig

UNKNOWN = -1
_END_OF_INT64 = 2.0**63
# The first places each by itself, those further down in groups that grow.
_PLACES = np.array([*range(17), 20, 25, 32, 40, 50, 64, 100, 200])
PLACE_GROUPS = len(_PLACES) + 1
"""How many groups of places there are; the first is for unknown positions."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Impressions:
    """n impressions, in the order of time; those of one time keep the order of the file.

    All are ``[n]``. ``places`` are rows of the file, and ``user_rows`` -1 for an unknown user. ``times`` are
    nanoseconds since 1970, or 0 without times. ``positions`` in the list are -1 where unknown. ``targets``
    ``[n, objectives]`` are the outcomes: 1 or 0 or a value, NaN where unobserved. ``unknown_items`` rows were left out.
    """

    places: NDArray[np.int64]
    user_rows: NDArray[np.int64]
    item_rows: NDArray[np.int64]
    times: NDArray[np.int64]
    positions: NDArray[np.int64]
    targets: NDArray[np.float32]
    context: Context
    objectives: tuple[str, ...]
    is_value: NDArray[np.bool_]
    unknown_items: int

    def __len__(self) -> int:
        return len(self.item_rows)

    def at(self, rows: NDArray[np.int64]) -> Self:
        """Some of the impressions."""
        arrays = ("places", "user_rows", "item_rows", "times", "positions", "targets")
        return replace(self, context=self.context.at(rows), **{name: getattr(self, name)[rows] for name in arrays})

    def until(self, time: int) -> int:
        """The number of impressions strictly before a time."""
        return int(np.searchsorted(self.times, time, side="left"))

    def between(self, start: int, end: int) -> NDArray[np.int64]:
        """The rows from one time to before another."""
        return np.arange(self.until(start), self.until(end))


def place_groups(positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """The group ``[n]`` of each position."""
    return np.searchsorted(_PLACES, positions, side="right")


def read_impressions(
    data_dir: Path,
    recipe: DataRecipe,
    users: pl.Series,
    items: pl.Series,
    warnings: list[str],
    forgotten: ForgottenList | None = None,
) -> Impressions | None:
    """The impressions of a recipe, None when it has no such section; ``users`` and ``items`` are the known ids, sorted.

    It adds ``warnings`` about ids that are not known, and about rows that were skipped. Rows of ``forgotten`` users are
    left out.

    Raises:
        DataError: a column is missing or has cells of another kind, or all items or users are unknown.
        RecipeError: an objective has no column.
    """
    columns = recipe.impressions
    if columns is None:
        return None
    objectives = _objectives(recipe)
    named = [
        columns.user,
        columns.item,
        *columns.categorical,
        *columns.numeric,
        *(str(one.column) for one in objectives),
    ]
    named += [columns.time] if not recipe.interactions.rows_in_order else []
    named += [columns.position] if columns.position else []
    bad = BadRows.of(recipe, Path(columns.file).name)
    parts = list(read_tables(data_dir / columns.file, list(dict.fromkeys(named)), bad))
    table = joined(parts[0].name.partition("/")[0], parts)
    found = {"items": ids(table, columns.item), "users": ids(table, columns.user)}
    for kind, known in (("items", items), ("users", users)):
        here = Side(name=table.name, ids=table.kept(found[kind]).unique())
        warnings += compare_ids(Side(name="the interactions and their tables", ids=known), here, kind)
    item_rows = _rows(found["items"], items)
    shown = Impressions(
        places=np.arange(table.frame.height),
        user_rows=_rows(found["users"], users),
        item_rows=item_rows,
        times=_times(table, recipe),
        positions=_positions(table, columns.position),
        targets=np.stack([_targets(table, objective) for objective in objectives], axis=1),
        context=Context.read(table, columns),
        objectives=tuple(recipe.objectives),
        is_value=np.array([objective.kind == "value" for objective in objectives]),
        unknown_items=0,
    )
    warnings += [] if bad is None else bad.warnings()
    usable = table.kept(pl.Series(shown.places)).to_numpy()
    times = None if recipe.interactions.rows_in_order else pl.Series(shown.times)
    usable = usable[is_kept(forgotten, found["users"], times).to_numpy()[usable]]
    known = usable[item_rows[usable] >= 0]
    in_order = known[np.argsort(shown.times[known], kind="stable")]
    return replace(shown.at(in_order), unknown_items=len(usable) - len(known))


def _objectives(recipe: DataRecipe) -> list[ObjectiveConfig]:
    if not recipe.objectives:
        raise RecipeError(
            "[impressions]: needs objectives; each names a column of it, as [objectives.click] column = 'clicked'"
        )
    for name, objective in recipe.objectives.items():
        if objective.column is None:
            raise RecipeError(
                f"[objectives.{name}] column: is missing; with [impressions], every objective is a column of it"
            )
    return list(recipe.objectives.values())


def _rows(found: pl.Series, known: pl.Series) -> NDArray[np.int64]:
    """The position of each id, -1 for one that is unknown."""
    return found.cast(pl.Enum(known), strict=False).to_physical().cast(pl.Int64).fill_null(UNKNOWN).to_numpy()


def _times(table: Table, recipe: DataRecipe) -> NDArray[np.int64]:
    if recipe.impressions is None or recipe.interactions.rows_in_order:
        return np.zeros(table.frame.height, dtype=np.int64)
    column = recipe.impressions.time
    found = times(table, column)
    refuse_future(table, column, found)
    return found.fill_null(0).to_numpy()


def _positions(table: Table, column: str | None) -> NDArray[np.int64]:
    if column is None:
        return np.full(table.frame.height, UNKNOWN)
    numbers = measures(table, column)
    bad = ~numbers.is_between(0, _END_OF_INT64, closed="left") | (numbers != numbers.floor())
    table.refuse(column, bad.fill_null(False), "no whole number from 0 to 2^63 - 1")
    # Rows that are skipped may have any number.
    return numbers.cast(pl.Int64, strict=False).fill_null(UNKNOWN).to_numpy()


def _targets(table: Table, objective: ObjectiveConfig) -> NDArray[np.float32]:
    column = str(objective.column)
    if table.column(column).dtype == pl.Boolean:
        table = replace(table, frame=table.frame.with_columns(pl.col(column).cast(pl.Int8)))
    elif table.column(column).dtype == pl.String:
        # Text tables have these words.
        plain = pl.col(column).str.strip_chars()
        flag = plain.str.to_lowercase().replace_strict({"true": "1", "false": "0"}, default=plain)
        table = replace(table, frame=table.frame.with_columns(flag.alias(column)))
    numbers = measures(table, column)
    if objective.kind == "event":
        table.refuse(column, (~numbers.is_in([0.0, 1.0])).fill_null(False), "neither 0 nor 1")
    return numbers.fill_null(np.nan).to_numpy()
