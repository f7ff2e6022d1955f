"""The folder of the data, files that appear whole or not at all, and the errors of a disk in words."""

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from trainer.errors import DataError, OutputError

PAGE = ".html"
"""The ending of a page, which lies beside the JSON of its figures."""

# C++ libraries raise their own exceptions, whose text has the words of the operating system.
_DISK = tuple(os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS))


def check_data_folder(folder: Path) -> None:
    """Raises DataError when there is no folder of this name to read tables from."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; --data names the one with the tables")


def write_text(path: Path, text: str) -> None:
    """Writes a file in one step, so that no reader sees half of it; its folder is made.

    A pipe or a device is written to as it is.

    Raises:
        OutputError: the disk is full, or the file may not be written; the former file stays.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_file():
            path.write_text(text, encoding="utf-8")
        else:
            _replace(path.resolve(), text)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns errors of the disk into an OutputError that names the file, or else this path."""
    try:
        yield
    except OSError as error:
        named = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else path
        raise OutputError(f"{named}: cannot be written: {error.strerror or error}") from error
    except Exception as error:
        reason = disk_error(error)
        if reason is None:
            raise
        raise OutputError(f"{path}: cannot be written: {reason}") from error


def disk_error(error: Exception) -> str | None:
    """The words of the operating system in the text of a library's exception; None when the disk is no cause."""
    return next((reason for reason in _DISK if reason in str(error)), None)


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name[:200]}-{secrets.token_hex(4)}")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
