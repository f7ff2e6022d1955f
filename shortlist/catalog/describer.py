"""Describes the content of live items as the next export would before their first event."""

import numpy as np
from numpy.typing import NDArray

from shortlist.bundle.bundle import Bundle
from shortlist.errors import FieldViolation, InvalidRequest
from shortlist.inference.column_readers import ItemValue
from shortlist.inference.live_items import Description
from shortlist.inference.new_items import NewItemEncoder
from shortlist.live.v1 import catalog_service_pb2 as pb


class Describer:
    """A :data:`~shortlist.inference.live_items.Describe` by the columns and the item encoder of a bundle.

    Columns that the bundle does not know are left out: the recipe may have got them since.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._bundle_id, self._dimension = bundle.bundle_id, bundle.manifest.dimension
        self._encoder = NewItemEncoder(bundle)
        self._columns = frozenset(self._encoder.featuriser.columns)

    def __call__(self, content: bytes) -> Description:
        """The description of an item.

        Raises:
            InvalidRequest: a value is of another kind than its column, or the vector of another length.
        """
        message = pb.ItemContent.FromString(content)
        known = {name: _value(cell) for name, cell in message.columns.items() if name in self._columns}
        described = self._encoder.describe([known])
        vector = described.vectors[0]
        if message.vector.bundle_id == self._bundle_id:
            vector = self._given(message.vector)
        return Description(vector=vector, features=described.features[0])

    def _given(self, vector: pb.ItemVector) -> NDArray[np.float32]:
        count = len(vector.values)
        if count != self._dimension:
            text = f"has {count} numbers; the bundle's vectors have {self._dimension}"
            raise InvalidRequest((FieldViolation("content.vector.values", text),))
        return np.array(vector.values, dtype=np.float32)


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
