"""The position of the live service that a table of interactions was read at, kept in the Parquet file itself."""

from pathlib import Path

import polars as pl

_KEY = "shortlist.live_position"


def write_with_position(table: pl.DataFrame, path: Path, position: int | None) -> None:
    """Writes a table, with the position where there is one.

    Raises:
        OSError: the file cannot be written.
    """
    table.write_parquet(path, metadata=None if position is None else {_KEY: str(position)})


def read_position(path: Path) -> int | None:
    """The position of a file, None for a folder or a file of another source."""
    if path.suffix != ".parquet" or not path.is_file():
        return None
    found = pl.read_parquet_metadata(path).get(_KEY, "")
    return int(found) if found.isdecimal() else None
