"""Files that may change while the process runs."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

_LOG = logging.getLogger(__name__)
_CHECK_SECONDS = 1.0
# The inode, modification time in ns and size of each file; None for a missing file.
_State = tuple[tuple[int, int, int] | None, ...]
Value = TypeVar("Value")


class WatchedFiles(Generic[Value]):
    """The value that ``read`` makes of some files, read again after one of them changes. Thread-safe.

    Files that belong together, such as a certificate and its key, are watched together. At most once a second, a call
    of :meth:`value` looks at them. Files that become unusable keep the former value, and are logged once.

    Raises:
        ValueError: raised by ``read`` when the files cannot be used at the start.
        OSError: raised by ``read`` when a file cannot be read at the start.
    """

    def __init__(self, paths: Sequence[Path], read: Callable[[], Value]) -> None:
        self._paths, self._read = paths, read
        self._state = _state_of(paths)
        self._value = read()
        self._next_check = time.monotonic() + _CHECK_SECONDS
        self._lock = threading.Lock()

    def value(self) -> Value:
        """The value of the last usable files; the same object until they change."""
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
            _LOG.error("%s changed but cannot be used; the former contents stay in force: %s", names, error)
        else:
            if _state_of(self._paths) != state:
                # The files changed during the read, so the parts may not match. The next check reads again.
                return
            self._value = value
            _LOG.info("%s changed; the new contents are in force", names)
        self._state = state


def _state_of(paths: Sequence[Path]) -> _State:
    return tuple(map(_state_of_one, paths))


def _state_of_one(path: Path) -> tuple[int, int, int] | None:
    try:
        # Follows links: Kubernetes replaces a secret by switching the link of its directory.
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
