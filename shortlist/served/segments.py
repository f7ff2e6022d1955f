"""The segments of a log of served answers: files of length-delimited ``ServedAnswer`` messages in one directory.

A segment that is being written has a name of its own, and is renamed once it is finished. Names begin with the time of
their beginning, so that their order is that of time.
"""

import contextlib
import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BufferedRandom, BufferedReader
from pathlib import Path

from google.protobuf.message import DecodeError
from google.protobuf.proto import parse_length_prefixed

from shortlist.errors import ShortlistError
from shortlist.ranking.v1.served_answer_pb2 import ServedAnswer, ServedRank, ServedRecommend

FINISHED, UNFINISHED = ".answers", ".unfinished"


class SegmentDamaged(ShortlistError):  # noqa: N818 - the fact itself
    """A segment ends in bytes that are no answer; those before them were read. ``sound`` is how many bytes are."""

    def __init__(self, path: Path, sound: int) -> None:
        super().__init__(f"{path}: the bytes from {sound:,} on are no answer")
        self.sound = sound


def call_of(answer: ServedAnswer) -> ServedRecommend | ServedRank:
    """The call that an answer is of."""
    return answer.rank if answer.HasField("rank") else answer.recommend


def new_path(directory: Path) -> Path:
    """The path of a segment that begins now, unfinished."""
    return directory / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}-{secrets.token_hex(4)}{UNFINISHED}"


def finished_path(unfinished: Path) -> Path:
    """The name of a segment once it is finished."""
    return unfinished.with_name(unfinished.name.removesuffix(UNFINISHED) + FINISHED)


def finished_segments(directory: Path) -> list[Path]:
    """The finished segments of a directory, oldest first."""
    return sorted(directory.glob(f"*{FINISHED}"))


def read_segment(path: Path) -> Iterator[ServedAnswer]:
    """The answers of a segment, in the order of writing.

    Raises:
        SegmentDamaged: it ends in bytes that are no answer, such as half of one.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        yield from _read(file, path)


def read_backwards(directory: Path) -> Iterator[list[ServedAnswer]]:
    """The answers of each segment, unfinished ones included, from the latest segment to the oldest.

    Bytes at the end of a segment that are no answer yet are left out.

    Raises:
        SegmentDamaged: a finished segment ends in bytes that are no answer.
        OSError: a segment cannot be read.
    """
    for path in sorted((*_unfinished(directory), *finished_segments(directory)), reverse=True):
        answers: list[ServedAnswer] = []
        try:
            answers += read_segment(path)
        except FileNotFoundError:
            # Finished meanwhile, or too old.
            with contextlib.suppress(FileNotFoundError):
                answers = [*read_segment(finished_path(path))]
        except SegmentDamaged:
            if path.suffix == FINISHED:
                raise
        yield answers


def finish_all(directory: Path, least_idle_seconds: float = 0.0) -> None:
    """Finishes every segment of a directory to which nobody has written for so long.

    A writer that still lives begins a further segment.

    Raises:
        OSError: a segment cannot be read or renamed.
    """
    for path in _unfinished(directory):
        with _locked(path) as file:
            if file is not None and time.time() - path.stat().st_mtime >= least_idle_seconds:
                _finish(file, path)


def trim(directory: Path, most_bytes: int, most_seconds: float) -> int:
    """Deletes finished segments until the rest has at most ``most_bytes`` and ``most_seconds`` of age; their number.

    Raises:
        OSError: the directory cannot be read, or a segment cannot be deleted.
    """
    found = []
    for path in finished_segments(directory):
        # Another process may delete them as well.
        with contextlib.suppress(FileNotFoundError):
            found.append((path, path.stat()))
    total, oldest, deleted = sum(status.st_size for _, status in found), time.time() - most_seconds, 0
    for path, status in found:
        if total > most_bytes or status.st_mtime < oldest:
            path.unlink(missing_ok=True)
            total, deleted = total - status.st_size, deleted + 1
    return deleted


def is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file still has a path."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _unfinished(directory: Path) -> list[Path]:
    return sorted(directory.glob(f"*{UNFINISHED}"))


def _read(file: BufferedReader | BufferedRandom, path: Path) -> Iterator[ServedAnswer]:
    while file.peek(1):
        sound = file.tell()
        try:
            yield parse_length_prefixed(ServedAnswer, file)  # type: ignore[arg-type]  # any binary file will do
        except (DecodeError, ValueError, EOFError) as error:
            raise SegmentDamaged(path, sound) from error


def _finish(file: BufferedRandom, path: Path) -> None:
    try:
        for _ in _read(file, path):
            pass
    except SegmentDamaged as damaged:
        # Its writer was killed amid an answer.
        file.truncate(damaged.sound)
    os.fsync(file.fileno())
    path.rename(finished_path(path))


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[BufferedRandom | None]:
    """The segment, while its writer waits; None when it was finished meanwhile."""
    try:
        file = path.open("r+b")
    except FileNotFoundError:
        yield None
        return
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file if is_at(file.fileno(), path) else None
