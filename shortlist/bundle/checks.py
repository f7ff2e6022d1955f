"""Checks the contents of a bundle's arrays, of which a manifest whose digests agree says nothing.

Every check reads an array once, block by block, so that it needs little memory. Only the order of popularity takes a
byte for each item.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shortlist.bundle.item_item_table import ItemItemTable
from shortlist.bundle.tables import ItemTables, UserTables
from shortlist.errors import BundleError

_BLOCK_BYTES = 2**22


def check_items(directory: Path, items: ItemTables) -> None:
    """Refuses items whose ids, vectors, features or order of popularity cannot be served.

    Raises:
        BundleError: names the file.
    """
    _check_ids(directory / "item_ids.npy", items.ids)
    _check_finite(directory / "item_vectors.npy", items.vectors)
    if items.inputs is not items.vectors:
        _check_finite(directory / "item_inputs.npy", items.inputs)
    _check_finite(directory / "item_features.npy", items.features)
    if items.unseen is not None:
        _check_finite(directory / "unseen_features.npy", items.unseen)
    _check_permutation(directory / "popular_rows.npy", items.popular)
    _check_listed(directory / "listed_rows.npy", items)
    _check_pairs(directory, "cooccurrence", items.item_item.cooccurrence)
    _check_pairs(directory, "slim", items.item_item.slim)


def check_users(directory: Path, users: UserTables, items: int, event_names: int) -> None:
    """Refuses users whose ids, features or histories cannot be served.

    Raises:
        BundleError: names the file.
    """
    _check_ids(directory / "user_ids.npy", users.ids)
    _check_finite(directory / "user_features.npy", users.features)
    _check_offsets(directory / "history_offsets.npy", users.offsets, len(users.rows))
    _check_below(directory / "history_rows.npy", users.rows, items)
    _check_length(directory / "history_values.npy", users.values, len(users.rows))
    _check_not_infinite(directory / "history_values.npy", users.values)
    _check_length(directory / "history_events.npy", users.events, len(users.rows))
    _check_below(directory / "history_events.npy", users.events, event_names + 1)


def _check_pairs(directory: Path, name: str, table: ItemItemTable) -> None:
    _check_offsets(directory / f"{name}_offsets.npy", table.offsets, len(table.rows))
    _check_below(directory / f"{name}_rows.npy", table.rows, len(table.offsets) - 1)
    _check_length(directory / f"{name}_weights.npy", table.weights, len(table.rows))
    _check_finite(directory / f"{name}_weights.npy", table.weights)


def _check_ids(path: Path, ids: NDArray[np.bytes_]) -> None:
    former = b""
    for block in _blocks(ids):
        # The first one is compared with the last of the block before; so the first of all is not empty.
        if not (former < block[0] and (block[:-1] < block[1:]).all()):
            raise BundleError(path, "has ids that are empty, twice there, or not in the order of their bytes")
        former = block[-1]
        try:
            # One byte wider, so that no id runs into the next.
            block.astype(f"S{ids.itemsize + 1}").tobytes().decode()
        except UnicodeDecodeError as error:
            raise BundleError(path, "has an id that is not UTF-8") from error


def _check_permutation(path: Path, rows: NDArray[np.int32]) -> None:
    _check_below(path, rows, len(rows))
    seen = np.zeros(len(rows), dtype=np.bool_)
    seen[rows] = True
    if not seen.all():
        raise BundleError(path, "has a row twice")


def _check_listed(path: Path, items: ItemTables) -> None:
    if items.listed is None:
        return
    if not len(items.listed):
        raise BundleError(path, "has no row")
    _check_below(path, items.listed, len(items.ids))
    former = -1
    for block in _blocks(items.listed):
        if block[0] <= former or (block[:-1] >= block[1:]).any():
            raise BundleError(path, "has rows that are not ascending")
        former = block[-1]
    if not np.array_equal(np.sort(items.popular[: len(items.listed)]), items.listed):
        raise BundleError(path, "has other rows than the first of popular_rows.npy")


def _check_offsets(path: Path, offsets: NDArray[np.int64], end: int) -> None:
    if offsets[0] != 0 or offsets[-1] != end:
        raise BundleError(path, f"does not go from 0 to {end}")
    former = offsets[0]
    for block in _blocks(offsets):
        if block[0] < former or (block[:-1] > block[1:]).any():
            raise BundleError(path, "has an offset below the one before")
        former = block[-1]


def _check_below(path: Path, numbers: NDArray[Any], limit: int) -> None:
    for block in _blocks(numbers):
        if block.min() < 0 or block.max() >= limit:
            raise BundleError(path, f"has a number outside 0 to {limit - 1}")


def _check_length(path: Path, array: NDArray[Any], length: int) -> None:
    if len(array) != length:
        raise BundleError(path, f"has {len(array)} entries for {length} rows")


def _check_finite(path: Path, array: NDArray[np.float32]) -> None:
    for block in _blocks(array):
        if not np.isfinite(block).all():
            raise BundleError(path, "has a number that is not finite")


def _check_not_infinite(path: Path, array: NDArray[np.float32]) -> None:
    for block in _blocks(array):
        if np.isinf(block).any():
            raise BundleError(path, "has a number that is infinite")


def _blocks(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    row_bytes = array[:1].nbytes or 1
    length = max(2, _BLOCK_BYTES // row_bytes)
    for start in range(0, len(array), length):
        yield array[start : start + length]
