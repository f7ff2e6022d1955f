"""Encodes the context of a call for the ranker, for the trainer and the services alike.

A text becomes one number for each category: 1 for its own, all 0 for an unknown one. A number becomes two: how many
standard deviations it is above the mean, and 1. A missing value becomes the column's ``absent``, its mean in training.
Zeros would not do: when every impression of a log has its context, a ranker cannot learn what zeros mean.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shortlist.bundle.ranker_columns import CATEGORICAL, ContextColumn
from shortlist.context import Context

Cells = Sequence[Any] | NDArray[Any]
# In standard deviations. Training has hardly seen numbers farther away, and a caller may send any number.
_FARTHEST = 10.0


class ContextEncoder:
    """Encodes the context of one call as ``width`` numbers, K."""

    def __init__(self, columns: Sequence[ContextColumn]) -> None:
        self._columns, self._places = dict[str, tuple[ContextColumn, slice]](), dict[tuple[str, str], int]()
        self.width = 0
        for column in columns:
            self._columns[column.name] = column, slice(self.width, self.width + column.width)
            for place, category in enumerate(column.categories, start=self.width):
                self._places[column.name, category] = place
            self.width += column.width
        self._absent = np.concatenate([np.zeros(0, dtype=np.float32), *map(_absent, columns)])

    def knows(self, name: str, value: str | float) -> bool:
        """Whether there is a column of that name, and it has the category when the value is a text."""
        return (name, value) in self._places if isinstance(value, str) else name in self._columns

    def encode(self, context: Context) -> NDArray[np.float32]:
        """The encoded context ``[K]``. Values have their column's kind, numbers are finite; other names are ignored."""
        encoded = self._absent.copy()
        for name in context.keys() & self._columns.keys():
            (column, part), value = self._columns[name], context[name]
            if isinstance(value, str):
                encoded[part] = 0.0
                place = self._places.get((name, value))
                if place is not None:
                    encoded[place] = 1.0
            else:
                far = (value - column.mean) / column.std
                encoded[part] = max(-_FARTHEST, min(far, _FARTHEST)), 1.0
        return encoded


def encode_contexts(columns: Sequence[ContextColumn], table: Mapping[str, Cells], count: int) -> NDArray[np.float32]:
    """The encoded contexts of ``count`` calls, ``[count, K]``, as :class:`ContextEncoder` gives each.

    ``table`` has the cells ``[count]`` of each column; a missing value is None, or NaN in place of a number.
    """
    parts = [(_texts if column.kind == CATEGORICAL else _numbers)(column, table[column.name]) for column in columns]
    return np.hstack([np.zeros((count, 0), dtype=np.float32), *parts])


def _absent(column: ContextColumn) -> NDArray[np.float32]:
    return np.array(column.absent or [0.0] * column.width, dtype=np.float32)


def _texts(column: ContextColumn, cells: Cells) -> NDArray[np.float32]:
    places = {category: place for place, category in enumerate(column.categories)}
    found = np.array([places.get(cell, -1) for cell in cells], dtype=np.int64)
    is_said = np.array([cell is not None for cell in cells], dtype=np.bool_)
    encoded = (found[:, None] == np.arange(column.width)).astype(np.float32)
    return np.where(is_said[:, None], encoded, _absent(column))


def _numbers(column: ContextColumn, cells: Cells) -> NDArray[np.float32]:
    numbers = np.asarray(cells, dtype=np.float64)
    known = np.isfinite(numbers)
    far = np.clip((np.where(known, numbers, column.mean) - column.mean) / column.std, -_FARTHEST, _FARTHEST)
    return np.where(known[:, None], np.stack([far, known], axis=1).astype(np.float32), _absent(column))
