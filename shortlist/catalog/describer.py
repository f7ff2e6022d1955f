"""Describes the content of live items as the next export would before their first event."""

import numpy as np
from numpy.typing import NDArray

from shortlist.bundle.bundle import Bundle
from shortlist.errors import FieldViolation, InvalidRequest
from shortlist.inference.column_readers import ItemValue
from shortlist.inference.live_items import Description
from shortlist.inference.new_items import NewItemEncoder
from shortlist.live.v1 import catalog_service_pb2 as pb

# A caller may send any number, and one item with a huge one gives every list with it scores that are not finite.
_MOST_TIMES = 1000.0
_SAMPLED_ROWS = 1000


class Describer:
    """A :data:`~shortlist.inference.live_items.Describe` by the columns and the item encoder of a bundle.

    Columns that the bundle does not know are left out: the recipe may have got them since.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._bundle_id, self._dimension = bundle.bundle_id, bundle.manifest.dimension
        self._encoder = NewItemEncoder(bundle)
        self._columns = frozenset(self._encoder.featuriser.columns)
        self._most_of_vectors = _most(bundle.items.vectors)
        self._most_of_features = _most(bundle.items.features)

    def __call__(self, content: bytes) -> Description:
        """The description of an item.

        Raises:
            InvalidRequest: a value is of another kind than its column, or the vector of another length. Or a number of
                the vector or the features is a thousand times those of the bundle's items.
        """
        message = pb.ItemContent.FromString(content)
        known = {name: _value(cell) for name, cell in message.columns.items() if name in self._columns}
        described = self._encoder.describe([known])
        vector, features = described.vectors[0], described.features[0]
        if message.vector.bundle_id == self._bundle_id:
            vector = self._given(message.vector)
        _check_size("content.columns", features, self._most_of_features)
        _check_size("content", vector, self._most_of_vectors)
        return Description(vector=vector, features=features)

    def _given(self, vector: pb.ItemVector) -> NDArray[np.float32]:
        count = len(vector.values)
        if count != self._dimension:
            text = f"has {count} numbers; the bundle's vectors have {self._dimension}"
            raise InvalidRequest((FieldViolation("content.vector.values", text),))
        return np.array(vector.values, dtype=np.float32)


def _most(numbers: NDArray[np.float32]) -> float:
    """The largest number that a new item may have, from the numbers ``[items, n]`` of some items of the bundle."""
    some = numbers[:: max(1, len(numbers) // _SAMPLED_ROWS)]
    return _MOST_TIMES * max(1.0, float(np.abs(some).max(initial=0.0)))


def _check_size(field: str, numbers: NDArray[np.float32], most: float) -> None:
    largest = float(np.abs(numbers).max(initial=0.0))
    if largest > most:
        text = f"gives the models the number {largest:.3g}; at most {most:.3g} fits to the bundle's items"
        raise InvalidRequest((FieldViolation(field, text),))


def _value(cell: pb.Cell) -> ItemValue:
    match cell.WhichOneof("kind"):
        case "text":
            return cell.text
        case "texts":
            return [*cell.texts.values]
        case "numbers":
            return [*cell.numbers.values]
    # A whole number that is a category is its text, and columns of numbers read texts as well.
    return f"{cell.number:.0f}" if cell.number.is_integer() else cell.number
