"""The segments of a log of served answers: half-written ones, dead writers, old ones, and users in damaged ones."""

import os
import time
from pathlib import Path

import pytest

from shortlist.ranking.v1.served_answer_pb2 import ServedAnswer
from shortlist.served.forgetting import forget
from shortlist.served.segment_writer import Bounds, SegmentWriter
from shortlist.served.segments import (
    SegmentDamaged,
    call_of,
    finish_all,
    finished_segments,
    new_path,
    read_backwards,
    read_segment,
    trim,
)
from tests.support.answers import segment_of

_BOUNDS = Bounds(log_bytes=10**9, log_seconds=1e6)


def _content(*users: str) -> bytes:
    answers = [ServedAnswer() for _ in users]
    for answer, user_id in zip(answers, users, strict=True):
        answer.recommend.request.user.user_id = user_id
    return segment_of(*answers)


def _users(directory: Path) -> list[str]:
    segments = [*read_backwards(directory)][::-1]
    return [call_of(answer).request.user.user_id for segment in segments for answer in segment]


@pytest.mark.parametrize("cut", range(1, len(_content("b" * 200))))
def test_an_answer_that_was_cut_off_anywhere_is_left_out(tmp_path: Path, cut: int) -> None:
    """Proves that the answers before it are read, while the segment is unfinished and once it is finished."""
    new_path(tmp_path).write_bytes(_content("a", "a") + _content("b" * 200)[:cut])
    assert _users(tmp_path) == ["a", "a"]
    finish_all(tmp_path)
    [segment] = finished_segments(tmp_path)
    assert segment.read_bytes() == _content("a", "a")


def test_damage_in_a_finished_segment_is_said(tmp_path: Path) -> None:
    """Proves that the answers before it are read, and that a removal fails only when the user may be behind it."""
    damaged = tmp_path / "1.answers"
    damaged.write_bytes(_content("a", "b") + b"\x7f" + b"c")
    answers = read_segment(damaged)
    assert [call_of(next(answers)).request.user.user_id for _ in "ab"] == ["a", "b"]
    with pytest.raises(SegmentDamaged, match=r"1\.answers"):
        next(answers)
    with pytest.raises(SegmentDamaged):
        forget(tmp_path, "c")
    assert forget(tmp_path, "a") == 1
    assert damaged.read_bytes() == _content("b")


def test_a_writer_goes_on_after_its_segment_was_finished_by_another(tmp_path: Path) -> None:
    """Proves that nothing is written into a segment that somebody has rewritten, and nothing is lost."""
    writer = SegmentWriter(tmp_path, _BOUNDS)
    for users in ("ab", "ca", "ad"):
        writer.append(_content(*users))
        assert forget(tmp_path, "a") == 1
    writer.append(_content("e"))
    writer.finish()
    assert _users(tmp_path) == ["b", "c", "d", "e"]
    assert len(finished_segments(tmp_path)) == 4


def test_a_segment_ends_by_age(tmp_path: Path) -> None:
    """Proves that the answers of a quiet service do not stay unfinished."""
    writer = SegmentWriter(tmp_path, Bounds(segment_seconds=0.05, log_bytes=10**9, log_seconds=1e6))
    writer.append(_content("a"))
    writer.tick()
    assert finished_segments(tmp_path) == []
    time.sleep(0.06)
    writer.tick()
    assert len(finished_segments(tmp_path)) == 1


def test_the_segment_of_a_dead_writer_is_finished_by_the_next_one(tmp_path: Path) -> None:
    """Proves that only segments to which nobody has written for long are."""
    dead, alive = new_path(tmp_path), new_path(tmp_path)
    dead.write_bytes(_content("dead"))
    alive.write_bytes(_content("alive"))
    os.utime(dead, (0, 0))
    writer = SegmentWriter(tmp_path, Bounds(log_bytes=10**9, log_seconds=time.time() + 1e6))
    writer.append(_content("mine"))
    writer.finish()
    finished = [call_of(one).request.user.user_id for path in finished_segments(tmp_path) for one in read_segment(path)]
    assert finished == ["dead", "mine"]
    assert alive.exists()


def test_old_segments_are_deleted(tmp_path: Path) -> None:
    """Proves that those go that are too old, and then the oldest beyond the size."""
    for name in ("1", "2", "3", "4"):
        (tmp_path / f"{name}.answers").write_bytes(bytes(100))
    os.utime(tmp_path / "1.answers", (0, 0))
    assert trim(tmp_path, 250, 3600) == 2
    assert [path.name for path in finished_segments(tmp_path)] == ["3.answers", "4.answers"]
