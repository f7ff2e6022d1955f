"""Reads regular files only, so that no pipe, device or symbolic link in a directory of bundles can hang a reader."""

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path


class TooLarge(OSError):  # noqa: N818 - the fact itself
    """A file has more bytes than a file of its kind can have."""


def open_regular(path: Path) -> BufferedReader:
    """Opens a regular file for reading. The last part of its path may not be a symbolic link.

    Raises:
        OSError: it cannot be opened, or is something else than a regular file.
    """
    # Without O_NONBLOCK, opening a pipe waits for a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_at_most(path: Path, limit: int) -> bytes:
    """The content of a regular file of at most ``limit`` bytes.

    Raises:
        TooLarge: it has more bytes.
        OSError: as for :func:`open_regular`.
    """
    with open_regular(path) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise TooLarge(errno.EFBIG, f"has more than {limit} bytes", str(path))
    return content
