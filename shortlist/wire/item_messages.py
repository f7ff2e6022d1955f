"""The items of an answer, written as bytes of the wire: a thousand messages without Python's work for each field.

``MergeFromString`` reads them into the answer. Setting the fields of each item takes three times as long, all of it
with the interpreter's lock, which health checks wait for.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from google.protobuf.descriptor import Descriptor
from numpy.typing import NDArray

Numbers = NDArray[np.float32] | NDArray[np.uint8]
Shapes = tuple[tuple[str, tuple[int, ...]], ...]

_VARINT, _BYTES, _FLOAT = 0, 2, 5
_BITS = 7
_MORE = 1 << _BITS


class ItemMessages:
    """Writes the repeated field ``field`` of an answer, of messages ``item`` with an ``item_id`` and numbers."""

    def __init__(self, item: Descriptor, field: int) -> None:
        self._item, self._tag = item, _tag(field, _BYTES)
        self._id_tag = _tag(item.fields_by_name["item_id"].number, _BYTES)
        self._empty: dict[Shapes, NDArray[np.void]] = {}
        self._heads: dict[int, bytes] = {}

    def written(self, ids: Sequence[bytes], numbers: Iterable[bytes]) -> bytes:
        """The bytes of messages ``[n]``: an id each, and the bytes of its :meth:`numbers`."""
        parts = list[bytes]()
        heads = self._heads
        for item_id, rest in zip(ids, numbers, strict=True):
            # A place for each pair of sizes.
            place = len(item_id) << 32 | len(rest)
            parts += (heads.get(place) or self._head(place, len(item_id), len(rest)), item_id, rest)
        return b"".join(parts)

    def numbers(self, **fields: Numbers) -> list[bytes]:
        """The bytes of fields of ``n`` messages: floats ``[n]``, enums ``[n]`` below 128, packed floats ``[n, k]``."""
        shapes = tuple((name, values.shape[1:]) for name, values in fields.items())
        empty = self._empty.get(shapes)
        if empty is None:
            empty = self._empty[shapes] = self._message_without_values(shapes)
        table = empty.repeat(len(next(iter(fields.values()))))
        for name, values in fields.items():
            table[name] = values
        data, width = table.tobytes(), table.itemsize
        return [data[start : start + width] for start in range(0, len(data), width)]

    def _head(self, place: int, id_size: int, rest_size: int) -> bytes:
        """Tag and length of a message, and of its id."""
        id_head = self._id_tag + _varint(id_size)
        head = self._heads[place] = self._tag + _varint(len(id_head) + id_size + rest_size) + id_head
        return head

    def _message_without_values(self, shapes: Shapes) -> NDArray[np.void]:
        """The numbers of one message, ``[1]``, with their tags and lengths."""
        places, tags = list[tuple[str, object]](), dict[str, bytes]()
        for name, shape in shapes:
            field = self._item.fields_by_name[name]
            kind = "<f4" if field.enum_type is None else "u1"
            wire = _BYTES if shape else _FLOAT if field.enum_type is None else _VARINT
            tags[f"{name} tag"] = tag = _tag(field.number, wire) + (_varint(4 * shape[0]) if shape else b"")
            places += [(f"{name} tag", f"V{len(tag)}"), (name, (kind, shape))]
        empty = np.zeros(1, dtype=places)
        for name, tag in tags.items():
            empty[name] = tag
        return empty


def _tag(number: int, wire: int) -> bytes:
    return _varint(number << 3 | wire)


def _varint(number: int) -> bytes:
    """A number in base 128, its smallest digit first, as protocol buffers have it."""
    digits = bytearray()
    while number >= _MORE:
        digits.append(number % _MORE | _MORE)
        number >>= _BITS
    return bytes((*digits, number))
