"""The arrays of a bundle: the type and the shape of each, and the strict reading of their files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shortlist.bundle.item_item import PAIR_WEIGHTS
from shortlist.bundle.manifest import Manifest
from shortlist.bundle.regular_files import open_regular
from shortlist.errors import BundleError

ITEM_INPUTS, LISTED, UNSEEN = "item_inputs", "listed_rows", "unseen_features"
# The beginnings of the file names of the item-item tables.
COOCCURRENCE_FILES, SLIM_FILES = "cooccurrence", "slim"
# numpy pads the header of a small array to 128 bytes. Its parser would need minutes for the largest header it allows.
_MAX_HEADER_BYTES = 512
_FLOATS, _ROWS, _OFFSETS, _IDS, _EVENTS = ("<f4",), ("<i4",), ("<i8",), ("|S",), ("|u1", "<u2")


@dataclass(frozen=True)
class Expected:
    """An array file: its types, and its shape, in which None stands for any number."""

    types: tuple[str, ...]
    shape: tuple[int | None, ...]

    def fits(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> bool:
        """Whether the header of a file is one of these."""
        # An id has any width but 0.
        name = "|S" if dtype.kind == "S" and dtype.itemsize else dtype.str
        same = len(shape) == len(self.shape) and all(
            wanted in (None, found) for wanted, found in zip(self.shape, shape, strict=True)
        )
        return name in self.types and same

    def __str__(self) -> str:
        shape = ", ".join("any" if size is None else str(size) for size in self.shape)
        return f"{' or '.join(self.types)} [{shape}]"


def expected_arrays(manifest: Manifest) -> Mapping[str, Expected]:
    """Every array that a service maps, by file name without ``.npy``."""
    items, users, dimension = manifest.item_count, manifest.user_count, manifest.dimension
    arrays = {
        "item_ids": Expected(_IDS, (items,)),
        "item_vectors": Expected(_FLOATS, (items, dimension)),
        "item_features": Expected(_FLOATS, (items, len(manifest.item_features))),
        "popular_rows": Expected(_ROWS, (items,)),
        "user_ids": Expected(_IDS, (users,)),
        "user_features": Expected(_FLOATS, (users, len(manifest.user_features))),
        "history_offsets": Expected(_OFFSETS, (users + 1,)),
        "history_rows": Expected(_ROWS, (None,)),
        "history_values": Expected(_FLOATS, (None,)),
        "history_events": Expected(_EVENTS, (None,)),
    }
    for table in (COOCCURRENCE_FILES, SLIM_FILES):
        arrays[f"{table}_offsets"] = Expected(_OFFSETS, (items + 1,))
        arrays[f"{table}_rows"] = Expected(_ROWS, (None,))
        arrays[f"{table}_weights"] = Expected(_FLOATS, (None, PAIR_WEIGHTS))
    if f"{LISTED}.npy" in manifest.files:
        arrays[LISTED] = Expected(_ROWS, (None,))
    if f"{UNSEEN}.npy" in manifest.files:
        arrays[UNSEEN] = Expected(_FLOATS, (None,))
    if f"{ITEM_INPUTS}.npy" in manifest.files:
        arrays[ITEM_INPUTS] = Expected(_FLOATS, (items, None))
    return arrays


def map_array(path: Path, expected: Expected) -> NDArray[Any]:
    """Maps an array file into memory, read-only, once its header and its size are the expected ones.

    Raises:
        BundleError: the file cannot be read, or is not the expected array.
    """
    try:
        with open_regular(path) as file:
            dtype, shape, start = _read_header(file)
            if not expected.fits(dtype, shape):
                raise BundleError(path, f"has {dtype.str} {list(shape)}, not {expected}")
            size = start + dtype.itemsize * _product(shape)
            found = file.seek(0, 2)
            if found != size:
                raise BundleError(path, f"has {found} bytes, and its header means {size}")
            mapped = np.memmap(file, dtype=dtype, mode="r", offset=start, shape=shape)
    except BundleError:
        raise
    except Exception as error:
        # The parser of headers raises more than ValueError: MemoryError, RecursionError, SyntaxError.
        raise BundleError(path, f"cannot be mapped: {type(error).__name__} {str(error)[:200]}") from error
    # Every slice of a memmap pays for its subclass; a plain view of the same pages is several times faster.
    return np.asarray(mapped).view(np.ndarray)


def _read_header(file: Any) -> tuple[np.dtype[Any], tuple[int, ...], int]:  # noqa: ANN401 - a binary file
    """The type, the shape, and the place of the first number."""
    # Later versions of the format are for headers of more than 64 KiB, and for names of fields.
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("not version 1.0 of the format")
    shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(file, max_header_size=_MAX_HEADER_BYTES)
    if is_fortran or not all(0 <= size < 2**48 for size in shape):
        raise ValueError(f"no array in rows, of shape {str(shape)[:80]}")
    return dtype, shape, file.tell()


def _product(shape: tuple[int, ...]) -> int:
    # In Python's integers, which do not overflow.
    product = 1
    for size in shape:
        product *= size
    return product
