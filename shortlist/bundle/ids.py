"""Ids in a bundle: a sorted array of bytes, in which a binary search finds the row of an id.

The array is memory-mapped and shared; a dictionary of ten million ids would cost each worker a gigabyte.
"""

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def rows_of(ids: NDArray[np.bytes_], wanted: Sequence[str]) -> NDArray[np.int64]:
    """The row of each wanted id ``[n]``, or -1 where the array lacks it."""
    if not wanted or not len(ids):
        return np.full(len(wanted), -1, dtype=np.int64)
    keys = np.array([_key(key, ids.itemsize) for key in wanted], dtype=ids.dtype)
    places = np.minimum(np.searchsorted(ids, keys), len(ids) - 1)
    return np.where(ids[places] == keys, places, -1)


def row_of(ids: NDArray[np.bytes_], wanted: str) -> int | None:
    """The row of one id, or None where the array lacks it."""
    key = _key(wanted, ids.itemsize)
    # For a single id, cheaper than numpy's search.
    place = bisect_left(ids, key)
    return place if place < len(ids) and ids[place] == key else None


def _key(item_id: str, width: int) -> bytes:
    key = item_id.encode()
    # numpy strips trailing NULs, so "a" and "a\0" would be the same item. A key wider than the array's ids would make
    # numpy copy the whole array to compare them. Both get the empty key, which no id equals.
    return key if len(key) <= width and b"\0" not in key else b""
