"""Removes a user from a log of served answers."""

import io
import os
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.proto import serialize_length_prefixed

from shortlist.bundle.locks import locked
from shortlist.ranking.v1.served_answer_pb2 import ServedAnswer
from shortlist.served.segments import SegmentDamaged, call_of, finish_all, finished_segments, read_segment

_LOCK, _REWRITING = ".rewriting.lock", ".rewriting"


def forget(directory: Path, user_id: str) -> int:
    """Deletes the answers to a user from all segments, also from those that are being written; their number.

    No byte of the id is left in a file of the directory. Answers that a service has not written yet come later.

    Raises:
        OSError: a segment cannot be read or replaced; it stays as it was.
        SegmentDamaged: a segment has the id in bytes that are no answer.
    """
    # Two that rewrite the same segment would each bring the other's user back.
    with locked(directory / _LOCK):
        for leftover in directory.glob(f"*{_REWRITING}"):
            leftover.unlink(missing_ok=True)
        finish_all(directory)
        return sum(_rewrite(path, user_id) for path in finished_segments(directory))


def _rewrite(path: Path, user_id: str) -> int:
    """Replaces a segment by one without the user; the number of deleted answers."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        # It was too old meanwhile.
        return 0
    if user_id.encode() not in content:
        return 0
    kept, deleted = io.BytesIO(), 0
    for answer in _sound(path, user_id):
        if call_of(answer).request.user.user_id == user_id:
            deleted += 1
        else:
            serialize_length_prefixed(answer, kept)
    if deleted:
        _replace(path, kept.getvalue())
    return deleted


def _sound(path: Path, user_id: str) -> Iterator[ServedAnswer]:
    try:
        yield from read_segment(path)
    except SegmentDamaged as damaged:
        with path.open("rb") as file:
            file.seek(damaged.sound)
            if user_id.encode() in file.read():
                raise


def _replace(path: Path, content: bytes) -> None:
    status, new = path.stat(), path.with_suffix(_REWRITING)
    with new.open("wb") as file:
        file.write(content)
        os.fsync(file.fileno())
    new.chmod(status.st_mode)
    # Its age counts from its own time.
    os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
    new.replace(path)
