"""The features of an item from the values of its columns, as the next export would make them."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from shortlist.bundle.item_columns import ItemColumns
from shortlist.errors import FieldViolation, InvalidRequest
from shortlist.inference.column_readers import ItemValue, Reader, Unfit, reader_of

ItemValues = Mapping[str, ItemValue | None]
"""The values of an item by column. A column that is missing or None is an empty cell of the item table."""


class ItemFeaturiser:
    """Makes the features of items from the columns that the trainer has learnt."""

    def __init__(self, columns: ItemColumns) -> None:
        self._readers: list[tuple[str, slice, Reader]] = []
        kinds: dict[str, int] = {}
        for _, column in columns.in_order:
            kinds[column.name] = kinds.get(column.name, 0) + 1
        texts, start = iter(columns.text_arrays), 0
        for kind, column in columns.in_order:
            # An embedding and another kind of the same column cannot share a value.
            key = f"{column.name} (sentences)" if kind == "sentences" and kinds[column.name] > 1 else column.name
            arrays = next(texts) if kind == "text" else None
            self._readers.append((key, slice(start, start + len(column.names)), reader_of(kind, column, arrays)))
            start += len(column.names)
        self.width = start
        """F."""
        self.columns = tuple(dict.fromkeys(key for key, _, _ in self._readers))
        """The names of the columns that an item may have."""

    def row(self, values: ItemValues) -> NDArray[np.float32]:
        """The features ``[F]`` of an item; zeros where a value is missing, or a category or word is unknown.

        Raises:
            InvalidRequest: a column is unknown, or its value is of another kind; names all of these.
        """
        violations = [
            _violation(name, f"is no column; columns are {', '.join(self.columns)}")
            for name in values
            if name not in self.columns
        ]
        features = np.zeros(self.width, dtype=np.float32)
        for name, part, read in self._readers:
            value = values.get(name)
            if value is None:
                continue
            try:
                features[part] = read(value)
            except Unfit as error:
                violations.append(_violation(name, str(error)))
        if violations:
            raise InvalidRequest(tuple(dict.fromkeys(violations)))
        return features

    def rows(self, items: Sequence[ItemValues]) -> NDArray[np.float32]:
        """The features ``[n, F]`` of items, as :meth:`row` makes them."""
        return np.array([self.row(values) for values in items], dtype=np.float32).reshape(len(items), self.width)


def _violation(name: str, description: str) -> FieldViolation:
    return FieldViolation(f"columns[{name[:256]!r}]", description)
