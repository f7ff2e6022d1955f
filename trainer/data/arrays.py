"""Arrays of one entry an event: in memory while they are short, else in files that the system pages in and out.

Pages of a file can be dropped from memory and read again, so that data of any length trains in bounded memory. The
rest of the trainer sees ordinary arrays.
"""

import shutil
import tempfile
from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from trainer.errors import DataError

CHUNK = 2**20
"""How many events are worked on at a time."""
_IN_MEMORY = 2 * CHUNK
_Kind = TypeVar("_Kind", bound=np.generic)


def array(size: int, kind: type[_Kind]) -> NDArray[_Kind]:
    """Zeros [size]. The file of a long one has no name: nothing is left behind, however the process ends.

    Raises DataError if the directory for temporary files has no room for it.
    """
    if size <= _IN_MEMORY:
        return np.zeros(size, kind)
    _check_room(size * np.dtype(kind).itemsize)
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, kind, mode="w+", shape=(size,)).view(np.ndarray)


def chunks(size: int) -> Iterator[slice]:
    """Slices of at most `CHUNK` that cover `range(size)` in order."""
    for start in range(0, size, CHUNK):
        yield slice(start, min(start + CHUNK, size))


def taken(source: NDArray[Any], places: NDArray[np.int64], kind: type[_Kind]) -> NDArray[_Kind]:
    """`source[places]` [len(places)] as another kind, a chunk at a time."""
    result = array(len(places), kind)
    for chunk in chunks(len(places)):
        result[chunk] = source[places[chunk]]
    return result


def _check_room(size: int) -> None:
    # Pages of a file that do not fit on the disk would end the process silently.
    folder = tempfile.gettempdir()
    if shutil.disk_usage(folder).free < size:
        raise DataError(f"{folder}: has no room for {size / 1e9:.1f} GB of events; TMPDIR names another directory")
