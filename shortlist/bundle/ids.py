"""Ids as the bundle holds them: a sorted array of bytes, so that an id's row is found by binary search.

A dictionary of ten million ids would cost each worker a gigabyte; the array is memory-mapped and shared.
"""

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def sorted_ids(ids: Sequence[str]) -> NDArray[np.bytes_]:
    """The distinct ids as a sorted array of bytes ``[n]``; the row of an id is its place in it."""
    return np.unique(np.array([item.encode() for item in ids], dtype=np.bytes_))


def rows_of(ids: NDArray[np.bytes_], wanted: Sequence[str]) -> NDArray[np.int64]:
    """The row of each wanted id ``[n]``, or -1 where the array does not have it."""
    if not wanted or not len(ids):
        return np.full(len(wanted), -1, dtype=np.int64)
    keys = np.array([_key(key, ids.itemsize) for key in wanted], dtype=ids.dtype)
    places = np.minimum(np.searchsorted(ids, keys), len(ids) - 1)
    return np.where(ids[places] == keys, places, -1)


def row_of(ids: NDArray[np.bytes_], wanted: str) -> int | None:
    """The row of one id, or None where the array does not have it."""
    key = _key(wanted, ids.itemsize)
    # For one id, cheaper than an array of one.
    place = bisect_left(ids, key)
    return place if place < len(ids) and ids[place] == key else None


def _key(item_id: str, width: int) -> bytes:
    key = item_id.encode()
    # A numpy byte string ends at its trailing NULs, so that "a" and "a\0" would be the same item; and one wider than
    # the array's would have the whole array copied for the comparison. No id is empty.
    return key if len(key) <= width and b"\0" not in key else b""
