"""Writes a log of served answers, segment after segment."""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shortlist.served.segments import finish_all, finished_path, is_at, new_path, trim

SEGMENT_BYTES = 64 * 2**20
SEGMENT_SECONDS = 300.0


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """How large a segment and the whole log may become, and how old."""

    segment_bytes: int = SEGMENT_BYTES
    segment_seconds: float = SEGMENT_SECONDS
    log_bytes: int
    log_seconds: float


class SegmentWriter:
    """Appends to a segment and begins further ones; for one thread. Each process has segments of its own.

    Another process may finish a segment at any time, as the removal of a user does. A lock on the file keeps the two
    apart.
    """

    def __init__(self, directory: Path, bounds: Bounds) -> None:
        self._directory, self._bounds = directory, bounds
        self._path: Path | None = None
        self._descriptor = -1
        self._size, self._due = 0, 0.0

    def append(self, content: bytes) -> None:
        """Writes all of it, or none.

        Raises:
            OSError: the disk refuses it, such as a full one.
        """
        while True:
            if self._path is None:
                self._begin()
            with self._locked() as is_ours:
                if is_ours:
                    self._write(content)
                    return
            self._forget()

    def tick(self) -> None:
        """Finishes the segment when it is large or old enough, and deletes the oldest ones beyond the bounds.

        Raises:
            OSError: the disk refuses it.
        """
        if self._path is not None and (self._size >= self._bounds.segment_bytes or time.monotonic() >= self._due):
            self.finish()

    def finish(self) -> None:
        """Finishes the segment, if one is begun.

        Raises:
            OSError: the disk refuses it.
        """
        if self._path is None:
            return
        try:
            with self._locked() as is_ours:
                if is_ours:
                    os.fsync(self._descriptor)
                    self._path.rename(finished_path(self._path))
        finally:
            self._forget()
        # Their writers are dead, for a living one would have begun another segment by now.
        finish_all(self._directory, 2 * self._bounds.segment_seconds)
        trim(self._directory, self._bounds.log_bytes, self._bounds.log_seconds)

    def _begin(self) -> None:
        path = new_path(self._directory)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._path, self._size = path, 0
        self._due = time.monotonic() + self._bounds.segment_seconds

    def _write(self, content: bytes) -> None:
        try:
            written = 0
            while written < len(content):
                written += os.write(self._descriptor, content[written:])
        except OSError:
            # Part of it may be there.
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(content)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[bool]:
        """Holds the lock on the segment; whether it is still this writer's."""
        assert self._path is not None
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            yield is_at(self._descriptor, self._path)
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _forget(self) -> None:
        os.close(self._descriptor)
        self._path, self._descriptor = None, -1
