"""What a call says of itself, as the ranker is told it: here for the trainer and the services alike.

A text is a column for each category, all 0 for one that is none of them. A number is two: how many standard deviations
it is above the mean, and 1. What is absent is what the column has for that, the mean of what training has shown: where
every impression of a log has its context, no ranker could learn what zeros mean.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shortlist.bundle.ranker_columns import CATEGORICAL, ContextColumn
from shortlist.context import Context

Cells = Sequence[Any] | NDArray[Any]
# Training has hardly seen anything beyond, and a caller's number may be any.
_FARTHEST = 10.0


class ContextEncoder:
    """One call's named values → its ``width`` numbers, K."""

    def __init__(self, columns: Sequence[ContextColumn]) -> None:
        self._columns, self._places = dict[str, tuple[ContextColumn, slice]](), dict[tuple[str, str], int]()
        self.width = 0
        for column in columns:
            self._columns[column.name] = column, slice(self.width, self.width + column.width)
            for place, category in enumerate(column.categories, start=self.width):
                self._places[column.name, category] = place
            self.width += column.width
        self._absent = np.concatenate([np.zeros(0, dtype=np.float32), *map(_absent, columns)])

    def encode(self, context: Context) -> NDArray[np.float32]:
        """``[K]``. Each value is of the kind of its column, each number finite; names without a column are ignored."""
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
    """What :class:`ContextEncoder` gives for each of ``count`` calls, ``[count, K]``.

    ``table`` has the cells ``[count]`` of each column; of what is absent, None or, in place of a number, NaN.
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
