"""A table, or a part of one: its columns, and the refusal or the skipping of its bad rows.

Rows in messages count from 1 and leave the header out.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

import polars as pl
from polars.exceptions import PanicException, PolarsError

from trainer.data.bad_rows import SHOWN, SHOWN_WIDTH, BadRows, Skipping
from trainer.errors import DataError

_Rows = TypeVar("_Rows", pl.DataFrame, pl.Series)


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """A table, or the part of it from row `first` on, and the name of the file that messages give it.

    Without `skipping`, the first bad row is refused. A joined folder has the names of its `files`, in order, with
    their numbers of rows.
    """

    name: str
    frame: pl.DataFrame
    first: int = 0
    skipping: Skipping | None = None
    files: tuple[tuple[str, int], ...] = ()

    def column(self, column: str) -> pl.Series:
        """A column by name. Raises DataError, listing the columns there are."""
        if column not in self.frame.columns:
            raise DataError(f"{self.name}: no column {column!r}; columns are {', '.join(self.frame.columns)}")
        # The parser's name for a second column of that name.
        if f"{column}_duplicated_0" in self.frame.columns:
            raise DataError(f"{self.name}: has more than one column {column!r}; rename all but one")
        return self.frame[column]

    def refuse(self, column: str, bad: pl.Series, why: str, reason: str = "", *, always: bool = False) -> None:
        """Raise DataError if any row of `bad` [n] is true, with their count and the first of them.

        Where bad rows may be skipped, they are skipped instead, for a `reason` that is `why` by default. With `always`
        they are refused there, too.
        """
        if self.skipping is not None and not always:
            self._skip(column, bad, reason or why)
            return
        rows = self.kept(pl.DataFrame({"row": range(len(bad)), "bad": bad})).filter("bad")["row"]
        if rows.is_empty():
            return
        shown = ", ".join(f"{self._number(row)}: {self._cell(column, row)}" for row in rows.head(SHOWN))
        counted = f"{len(rows)} of {len(bad)} rows" + (f" from row {self.first + 1} on" if self.first else "")
        raise DataError(f"{self.name}, column {column!r}: {why} in {counted}; first {shown}")

    def kept(self, rows: _Rows) -> _Rows:
        """The `rows` [n] that are not skipped."""
        return rows if self.skipping is None else rows.filter(pl.Series(self.skipping.usable))

    def place(self, row: int) -> str:
        """The number of a row in its file, behind the name of that file if the table is a folder or of one."""
        return f"{self.name} {self._number(row)}" if "/" in self.name else self._number(row)

    def _skip(self, column: str, bad: pl.Series, reason: str) -> None:
        assert self.skipping is not None
        found, missing = bad.to_numpy(), self.column(column).is_null().to_numpy()
        for one, rows in (("a missing cell", found & missing), (reason, found & ~missing)):
            self.skipping.skip(
                rows, f"column {column!r}: {one}", lambda row: f"{self.place(row)}: {self._cell(column, row)}"
            )

    def _number(self, row: int) -> str:
        before = 0
        for name, rows in self.files:
            if row < before + rows:
                return f"{name} row {row - before + 1}"
            before += rows
        return f"row {self.first + row + 1}"

    def _cell(self, column: str, row: int) -> str:
        cell = self.frame[column][row]
        # A vector of polars has several lines.
        return f"{(cell.to_list() if isinstance(cell, pl.Series) else cell)!r:.{SHOWN_WIDTH}}"


def joined(name: str, tables: Sequence[Table]) -> Table:
    """One table of the rows of several, whose columns may be in any order. Raises DataError if the columns differ."""
    columns = tables[0].frame.columns
    frames = [table.frame for table in tables]
    frames = [frame.select(columns) if set(frame.columns) == set(columns) else frame for frame in frames]
    skipping = [table.skipping for table in tables if table.skipping is not None]
    rows: dict[str, int] = {}
    for table in tables:
        rows[table.name] = rows.get(table.name, 0) + table.frame.height
    with unreadable_refused(name, "one table"):
        return Table(
            name=name,
            frame=pl.concat(frames, how="vertical_relaxed"),
            skipping=Skipping.joined(skipping) if skipping else None,
            files=() if list(rows) == [name] else tuple(rows.items()),
        )


def skipping(table: Table, bad: BadRows | None) -> Table:
    """The table, whose bad rows are skipped and counted as `bad` if that is given."""
    return table if bad is None else replace(table, skipping=bad.of_part(table.frame.height))


@contextmanager
def unreadable_refused(name: str, kind: str) -> Iterator[None]:
    """Raises DataError when a parser raises inside; ``kind`` is the form that the file should have."""
    try:
        yield
    except (PolarsError, PanicException, OSError, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"{name}: cannot be read as {kind}: {error}") from error
