"""Rows of ids by binary search."""

import numpy as np
from numpy.typing import NDArray

from shortlist.bundle.ids import row_of, rows_of


def sorted_ids(*ids: str) -> NDArray[np.bytes_]:
    """An array of ids as the tables of a bundle have it."""
    return np.array(sorted(item.encode() for item in ids), dtype=np.bytes_)


def test_every_id_finds_its_row_and_an_unknown_one_finds_none() -> None:
    """Including ids that sort before the first and after the last, prefixes, and letters beyond ASCII."""
    ids = sorted_ids("b", "ä", "ab", "10", "9")
    known = [item.decode() for item in ids]
    assert known == ["10", "9", "ab", "b", "ä"]
    assert rows_of(ids, known).tolist() == [0, 1, 2, 3, 4]
    assert [row_of(ids, item) for item in known] == [0, 1, 2, 3, 4]
    assert [row_of(ids, item) for item in ("", "a", "abc", "zz", "1", "ö")] == [None] * 6
    assert rows_of(ids, ["", "a", "abc", "zz", "1", "ö"]).tolist() == [-1] * 6


def test_an_id_with_a_trailing_null_is_another_id() -> None:
    """numpy drops trailing NULs of byte strings; a caller must not reach an item that way."""
    assert rows_of(sorted_ids("a"), ["a\0"]).tolist() == [-1]
    assert row_of(sorted_ids("a"), "a\0") is None


def test_an_id_longer_than_any_is_not_there() -> None:
    """Not even when it begins like one."""
    assert rows_of(sorted_ids("ab"), ["abc"]).tolist() == [-1]
    assert row_of(sorted_ids("ab"), "abc") is None


def test_nothing_wanted_or_nothing_there_finds_nothing() -> None:
    """A bundle may have no users."""
    assert rows_of(sorted_ids("a"), []).tolist() == []
    assert rows_of(sorted_ids(), ["a"]).tolist() == [-1]
