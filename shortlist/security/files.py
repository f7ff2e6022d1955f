"""Files that change while the process runs."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

_LOG = logging.getLogger(__name__)
_CHECK_SECONDS = 1.0
# For each file its inode, time of change in ns, and size; None for one that is not there.
_State = tuple[tuple[int, int, int] | None, ...]
Value = TypeVar("Value")


class WatchedFiles(Generic[Value]):
    """What ``read`` makes of some files, made again once one of them has changed. Thread-safe.

    Files that belong together, such as a certificate and its key, are watched together. They are looked at no more than
    once a second, by whoever asks then; what cannot be read changes nothing, and is logged once.

    Raises:
        ValueError: raised by ``read``, as at any later time, for files of no use.
        OSError: raised by ``read`` for a file that cannot be read.
    """

    def __init__(self, paths: Sequence[Path], read: Callable[[], Value]) -> None:
        self._paths, self._read = paths, read
        self._state = _state_of(paths)
        self._value = read()
        self._next_check = time.monotonic() + _CHECK_SECONDS
        self._lock = threading.Lock()

    def value(self) -> Value:
        """What was made of the files as they last were of use: the very same object until they change."""
        if time.monotonic() >= self._next_check and self._lock.acquire(blocking=False):
            try:
                self._check()
            finally:
                self._lock.release()
        return self._value

    def _check(self) -> None:
        self._next_check = time.monotonic() + _CHECK_SECONDS
        state = _state_of(self._paths)
        if state == self._state:
            return
        names = ", ".join(map(str, self._paths))
        try:
            value = self._read()
        except (OSError, ValueError) as error:
            _LOG.warning("%s changed to what is of no use, so that the former contents stay in force: %s", names, error)
        else:
            if _state_of(self._paths) != state:
                # They changed while they were read, and the parts may not fit each other: the next check reads again.
                return
            self._value = value
            _LOG.info("%s changed, and the new contents are in force", names)
        self._state = state


def _state_of(paths: Sequence[Path]) -> _State:
    return tuple(map(_state_of_one, paths))


def _state_of_one(path: Path) -> tuple[int, int, int] | None:
    try:
        # Of what a link leads to: Kubernetes replaces a secret by turning the link of its directory.
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
