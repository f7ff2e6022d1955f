"""Folders of table files, as Spark and Hive write them: their files, and the columns that folders' names hold."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

import polars as pl

from trainer.errors import DataError

_NULL = "__HIVE_DEFAULT_PARTITION__"
# Their files are the table only together with what these say.
_LOGS = {
    "_delta_log": "is a Delta table, whose log says which files count",
    ".hoodie": "is a Hudi table, whose log says which files count",
    "_temporary": "is not finished: the job that writes it runs or has failed",
}


@dataclass(frozen=True, kw_only=True)
class Part:
    """A file of a table, the name that messages give it, and the columns that its folders hold, null where absent."""

    path: Path
    name: str
    columns: Mapping[str, str | None] = field(default_factory=dict)

    def with_columns(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The file's rows with the columns of its folders; a column of the file itself stands before those."""
        added = [name for name in self.columns if name not in frame.columns]
        return frame.with_columns(pl.lit(self.columns[name], pl.String).alias(name) for name in added)


def parts(path: Path, kinds: tuple[str, ...]) -> list[Part]:
    """The file itself, or the files of a folder and its folders in the order of their names.

    Empty files and names that begin with `_` or `.` are left out. A folder `day=2024-03-01` is a column `day`.

    Raises DataError for a folder with a file that has no ending of `kinds`, without any, or of a format with a log. A
    link to a folder in it is refused, too.
    """
    if not path.is_dir():
        return [Part(path=path, name=path.name)]
    for log, why in _LOGS.items():
        if (path / log).exists():
            raise DataError(f"{path}: {why}; export it as plain Parquet")
    inside = sorted(path.rglob("*"))
    for one in inside:
        if one.is_symlink() and one.is_dir():
            raise DataError(f"{one}: is a link to a folder; put the folder itself in its place")
    found = [file for file in inside if _is_data(file, file.relative_to(path))]
    if not found:
        raise DataError(f"{path}: has no table in it; read are {', '.join(kinds)}")
    for file in found:
        if file.suffix.lower() not in kinds:
            raise DataError(f"{file}: not a table; a folder that is one has only files of {', '.join(kinds)}")
    return [_part(path, file) for file in found]


def _is_data(file: Path, inner: Path) -> bool:
    # Hive also has columns whose names begin so. Spark leaves an empty CSV file where a part has no rows.
    is_left_out = any(one.startswith((".", "_")) and "=" not in one for one in inner.parts)
    return not is_left_out and file.is_file() and file.stat().st_size > 0


def _part(folder: Path, file: Path) -> Part:
    inner = file.relative_to(folder)
    pairs = [one.split("=", 1) for one in inner.parts[:-1] if "=" in one]
    columns = {name: None if value == _NULL else unquote(value) for name, value in pairs}
    return Part(path=file, name=f"{folder.name}/{inner.as_posix()}", columns=columns)
