"""Tables as files: read, or refused in our own words.

Rows in messages count from 1 and leave the header out.
"""

import gzip
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
from polars.exceptions import PanicException, PolarsError

from trainer.data.arrays import chunks
from trainer.data.folders import Part, parts
from trainer.data.text import one_row_a_line, refuse_short_rows, utf8
from trainer.errors import DataError

_SEPARATORS = {".csv": ",", ".tsv": "\t"}
# TSV has no quoting: a cell that begins with a quotation mark is text.
_QUOTES = {".csv": '"', ".tsv": None}
_PARQUET = (".parquet", ".pq")
_LINES = (".txt", ".txt.gz")
_OF_FOLDERS = (*_PARQUET, *_SEPARATORS)
SHOWN, SHOWN_WIDTH = 3, 60
"""How many of the bad cells a message has, and how much of each."""


class _EmptyError(DataError):
    pass


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """A table, or the part of it from row `first` on, and the name of the file that messages give it."""

    name: str
    frame: pl.DataFrame
    first: int = 0

    def column(self, column: str) -> pl.Series:
        """A column by name. Raises DataError, listing the columns there are."""
        if column not in self.frame.columns:
            raise DataError(f"{self.name}: no column {column!r}; columns are {', '.join(self.frame.columns)}")
        # The parser's name for a second column of that name.
        if f"{column}_duplicated_0" in self.frame.columns:
            raise DataError(f"{self.name}: has more than one column {column!r}; rename all but one")
        return self.frame[column]

    def refuse(self, column: str, bad: pl.Series, why: str) -> None:
        """Raise DataError if any row of `bad` [n] is true, with their count and the first of them."""
        rows = bad.arg_true()
        if rows.is_empty():
            return
        shown = ", ".join(
            f"row {self.first + row + 1}: {self.frame[column][row]!r:.{SHOWN_WIDTH}}" for row in rows.head(SHOWN)
        )
        counted = f"{len(rows)} of {len(bad)} rows" + (f" from row {self.first + 1} on" if self.first else "")
        raise DataError(f"{self.name}, column {column!r}: {why} in {counted}; first {shown}")


def read_table(path: Path) -> Table:
    """Read Parquet (.parquet, .pq) as it is typed, CSV (.csv, .tsv) as text with empty cells null, and lines (.txt,
    .txt.gz) as `sequences` does. Text is UTF-8, or UTF-16 with a byte-order mark.

    A folder of Parquet or of CSV is one table, its files in the order of their names; see `trainer.data.folders`.
    Raises DataError for a file that is missing, of another kind, unreadable or without rows.
    """
    return joined(path.name, list(_non_empty(_of_part(part) for part in parts(path, _OF_FOLDERS))))


def joined(name: str, tables: Sequence[Table]) -> Table:
    """One table of the rows of several, whose columns may be in any order. Raises DataError if the columns differ."""
    columns = tables[0].frame.columns
    frames = [table.frame for table in tables]
    frames = [frame.select(columns) if set(frame.columns) == set(columns) else frame for frame in frames]
    with _refused(name, "one table"):
        return Table(name=name, frame=pl.concat(frames, how="vertical_relaxed"))


def _non_empty(found: Iterable[Iterator[Table]]) -> Iterator[Table]:
    """The tables of all parts but those without rows. Raises DataError if none has any."""
    empty, has_rows = None, False
    for tables in found:
        try:
            for table in tables:
                has_rows = True
                yield table
        except _EmptyError as error:
            empty = error
    if empty is not None and not has_rows:
        raise empty


def _of_part(part: Part) -> Iterator[Table]:
    yield Table(name=part.name, frame=part.with_columns(_read_file(part).frame))


def _read_file(part: Part) -> Table:
    path = part.path
    if path.name.lower().endswith(_LINES):
        return sequences(path)
    suffix = path.suffix.lower()
    if suffix in _PARQUET:
        return parquet(path)
    if suffix in _SEPARATORS:
        return delimited(path.name, contents(path), separator=_SEPARATORS[suffix], quote=_QUOTES[suffix])
    raise DataError(f"{path}: not a table; read are {', '.join((*_PARQUET, *_SEPARATORS, *_LINES))}")


def sequences(path: Path) -> Table:
    """Read lines `user item item …`, a user's items oldest first, gzipped or not: the form of many published data sets.

    Columns `user_id`, `item_id` and `timestamp`, which is the place in the file. Raises DataError as `read_table` does.
    """
    text = contents(path)
    with _refused(path.name, "lines"):
        content = utf8(path.name, gzip.decompress(text) if path.suffix.lower() == ".gz" else text)
        words = pl.Series("words", content.decode().split("\n")).str.extract_all(r"\S+")
        lines = words.filter(words.list.len() > 0).to_frame()
        frame = lines.select(user_id=pl.col("words").list.first(), item_id=pl.col("words").list.slice(1))
    return _with_rows(Table(name=path.name, frame=frame.explode("item_id").with_row_index("timestamp")))


def read_in_turn(paths: Iterable[Path], columns: list[str]) -> Iterator[Table]:
    """`read_tables` of several files. A later file of lines has its places behind those of the files before it."""
    first = 0
    for path in paths:
        for table in read_tables(path, columns):
            if path.name.lower().endswith(_LINES):
                yield replace(table, frame=table.frame.with_columns(pl.col("timestamp") + first))
                first += table.frame.height
            else:
                yield table


def read_tables(path: Path, columns: list[str]) -> Iterator[Table]:
    """Like `read_table`, but file by file of a folder, and Parquet in parts and only these columns.

    Raises DataError as `read_table` does, for the first part that is bad.
    """
    yield from _non_empty(
        _parquet_parts(part, columns) if part.path.suffix.lower() in _PARQUET else _of_part(part)
        for part in parts(path, _OF_FOLDERS)
    )


def _parquet_parts(part: Part, columns: list[str]) -> Iterator[Table]:
    with _refused(part.name, "Parquet"):
        # The columns of folders are added here, as text, so that no zero is lost.
        scan = pl.scan_parquet(part.path, hive_partitioning=False, glob=False)
        count: int = scan.select(pl.len()).collect().item()
        known = scan.collect_schema()
        # One that lacks a column is refused later, with the names of those it has.
        if set(columns) <= {*known, *part.columns}:
            scan = scan.select(name for name in columns if name in known)
    for rows in chunks(max(count, 1)):
        with _refused(part.name, "Parquet"):
            frame = scan.slice(rows.start, rows.stop - rows.start).collect()
        yield _with_rows(Table(name=part.name, frame=part.with_columns(frame), first=rows.start))


def contents(path: Path) -> bytes:
    """Read a file. Raises DataError for one that is missing or unreadable."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def parquet(path: Path) -> Table:
    """Read a Parquet file. Raises DataError as `read_table` does."""
    with _refused(path.name, "Parquet"):
        frame = pl.read_parquet(contents(path))
    return _with_rows(Table(name=path.name, frame=frame))


def delimited(
    name: str, text: bytes, *, separator: str, quote: str | None = None, columns: tuple[str, ...] | None = None
) -> Table:
    """Read text, every column as text, so that a bad cell is reported by us and not by the parser.

    The first line is the header unless `columns` names the columns. Each row is one line; blank lines at the end are
    left out. Raises DataError as `read_table` does, for a quoted cell that does not end on its line, and for a line
    with too few cells.
    """
    text = one_row_a_line(name, utf8(name, text), quote)
    refuse_short_rows(name, text, separator, quote)
    with _refused(name, "a table"):
        frame = pl.read_csv(
            text,
            has_header=columns is None,
            new_columns=columns,
            separator=separator,
            quote_char=quote,
            infer_schema=False,
        )
    lines = text.count(b"\n") + (not text.endswith(b"\n")) - (columns is None)
    if frame.height != lines:
        raise DataError(f"{name}: {frame.height:,} rows were read from {lines:,} lines; each row must be one line")
    return _with_rows(Table(name=name, frame=frame))


@contextmanager
def _refused(name: str, kind: str) -> Iterator[None]:
    try:
        yield
    except (PolarsError, PanicException, OSError, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"{name}: cannot be read as {kind}: {error}") from error


def _with_rows(table: Table) -> Table:
    if table.frame.is_empty():
        raise _EmptyError(f"{table.name}: has no rows")
    return table
