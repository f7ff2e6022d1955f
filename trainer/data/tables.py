"""Tables as files: read, or refused in our own words."""

import gzip
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import polars as pl

from trainer.data.arrays import chunks
from trainer.data.bad_rows import BadRows
from trainer.data.folders import Part, parts
from trainer.data.table import Table, joined, skipping, unreadable_refused
from trainer.data.text import plain_lines, refuse_bad_lines, utf8, without_bad_lines
from trainer.errors import DataError

_SEPARATORS = {".csv": ",", ".tsv": "\t"}
# TSV has no quoting: a cell that begins with a quotation mark is text.
_QUOTES = {".csv": '"', ".tsv": None}
_PARQUET = (".parquet", ".pq")
_LINES = (".txt", ".txt.gz")
_OF_FOLDERS = (*_PARQUET, *_SEPARATORS)


class _EmptyError(DataError):
    pass


def read_table(path: Path, bad: BadRows | None = None) -> Table:
    """Read Parquet (.parquet, .pq) as it is typed, CSV (.csv, .tsv) as text with empty cells null, and lines (.txt,
    .txt.gz) as `sequences` does. Text is UTF-8, or UTF-16 with a byte-order mark.

    A folder of Parquet or of CSV is one table, its files in the order of their names; see `trainer.data.folders`.
    Raises DataError for a file that is missing, of another kind, unreadable or without rows. Its bad rows are skipped
    and counted as `bad` if that is given.
    """
    return joined(path.name, list(_non_empty(_of_part(part, bad) for part in parts(path, _OF_FOLDERS))))


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


def _of_part(part: Part, bad: BadRows | None) -> Iterator[Table]:
    table = _read_file(part, bad)
    yield replace(table, name=part.name, frame=part.with_columns(table.frame))


def _read_file(part: Part, bad: BadRows | None) -> Table:
    path = part.path
    if path.name.lower().endswith(_LINES):
        return skipping(sequences(path), bad)
    suffix = path.suffix.lower()
    if suffix in _PARQUET:
        return skipping(parquet(path), bad)
    if suffix in _SEPARATORS:
        return delimited(part.name, contents(path), separator=_SEPARATORS[suffix], quote=_QUOTES[suffix], bad=bad)
    raise DataError(f"{path}: not a table; read are {', '.join((*_PARQUET, *_SEPARATORS, *_LINES))}")


def sequences(path: Path) -> Table:
    """Read lines `user item item …`, a user's items oldest first, gzipped or not: the form of many published data sets.

    Columns `user_id`, `item_id` and `timestamp`, which is the place in the file. Raises DataError as `read_table` does.
    """
    text = contents(path)
    with unreadable_refused(path.name, "lines"):
        content = utf8(path.name, gzip.decompress(text) if path.suffix.lower() == ".gz" else text)
        words = pl.Series("words", content.decode().split("\n")).str.extract_all(r"\S+")
        lines = words.filter(words.list.len() > 0).to_frame()
        frame = lines.select(user_id=pl.col("words").list.first(), item_id=pl.col("words").list.slice(1))
    return _with_rows(Table(name=path.name, frame=frame.explode("item_id").with_row_index("timestamp")))


def read_in_turn(paths: Iterable[Path], columns: list[str], bad: BadRows | None = None) -> Iterator[Table]:
    """`read_tables` of several files. A later file of lines has its places behind those of the files before it."""
    first = 0
    for path in paths:
        for table in read_tables(path, columns, bad):
            if path.name.lower().endswith(_LINES):
                yield replace(table, frame=table.frame.with_columns(pl.col("timestamp") + first))
                first += table.frame.height
            else:
                yield table


def read_tables(path: Path, columns: list[str], bad: BadRows | None = None) -> Iterator[Table]:
    """Like `read_table`, but file by file of a folder, and Parquet in parts and only these columns.

    Raises DataError as `read_table` does, for the first part that is bad.
    """
    yield from _non_empty(
        _parquet_parts(part, columns, bad) if part.path.suffix.lower() in _PARQUET else _of_part(part, bad)
        for part in parts(path, _OF_FOLDERS)
    )


def _parquet_parts(part: Part, columns: list[str], bad: BadRows | None) -> Iterator[Table]:
    with unreadable_refused(part.name, "Parquet"):
        # The columns of folders are added here, as text, so that no zero is lost.
        scan = pl.scan_parquet(part.path, hive_partitioning=False, glob=False)
        count: int = scan.select(pl.len()).collect().item()
        known = scan.collect_schema()
        # One that lacks a column is refused later, with the names of those it has.
        if set(columns) <= {*known, *part.columns}:
            scan = scan.select(name for name in columns if name in known)
    for rows in chunks(max(count, 1)):
        with unreadable_refused(part.name, "Parquet"):
            frame = scan.slice(rows.start, rows.stop - rows.start).collect()
        table = _with_rows(Table(name=part.name, frame=part.with_columns(frame), first=rows.start))
        yield skipping(table, bad)


def contents(path: Path) -> bytes:
    """Read a file. Raises DataError for one that is missing or unreadable."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def parquet(path: Path) -> Table:
    """Read a Parquet file. Raises DataError as `read_table` does."""
    with unreadable_refused(path.name, "Parquet"):
        frame = pl.read_parquet(contents(path))
    return _with_rows(Table(name=path.name, frame=frame))


def delimited(
    name: str,
    text: bytes,
    *,
    separator: str,
    quote: str | None = None,
    columns: tuple[str, ...] | None = None,
    bad: BadRows | None = None,
) -> Table:
    """Read text, every column as text, so that a bad cell is reported by us and not by the parser.

    The first line is the header unless `columns` names the columns. Each row is one line; blank lines at the end are
    left out. Raises DataError as `read_table` does, and for a line that is no row; see `refuse_bad_lines`. Such lines
    are skipped and counted as `bad` if that is given.
    """
    text = plain_lines(utf8(name, text))
    no_rows: Mapping[str, pl.Series] = {}
    if bad is None:
        refuse_bad_lines(name, text, separator, quote)
    else:
        text, no_rows = without_bad_lines(name, text, separator, quote)
    with unreadable_refused(name, "a table"):
        frame = pl.read_csv(
            text,
            has_header=columns is None,
            new_columns=columns,
            separator=separator,
            quote_char=quote,
            infer_schema=False,
        )
    rows = text.count(b"\n") + (not text.endswith(b"\n")) - (columns is None)
    if frame.height != rows:
        raise DataError(f"{name}: {frame.height:,} rows were read from {rows:,} lines; each row must be one line")
    table = skipping(_with_rows(Table(name=name, frame=frame)), bad)
    if table.skipping is not None:
        for reason, lines in no_rows.items():
            # The header is no row.
            table.skipping.skip(lines.tail(frame.height).to_numpy(), reason, table.place)
    return table


def _with_rows(table: Table) -> Table:
    if table.frame.is_empty():
        raise _EmptyError(f"{table.name}: has no rows")
    return table
