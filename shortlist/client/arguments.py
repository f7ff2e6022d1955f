"""Checks the arguments of a call. An error names the argument and its type, such as ``exclude[1] is a float``.

Protobuf takes a text for a list of its letters, and its own errors name nothing.
"""

from collections.abc import Iterable, Mapping, Set
from datetime import datetime
from decimal import Decimal
from numbers import Integral, Real
from typing import SupportsIndex, TypeVar, cast

T = TypeVar("T")
# A numpy integer is no ``int``, and has an index.
Id = str | SupportsIndex


def read_id(value: object, name: str) -> str:
    """The id as a text: of a text, or of a whole number."""
    if isinstance(value, str):
        return value
    if not isinstance(value, bool) and isinstance(value, Integral):
        return str(int(value))
    raise _wrong(value, name, "an id is a text or a whole number")


def read_ids(values: Iterable[Id], name: str) -> list[str]:
    """The ids of a list."""
    listed = enumerate(read_list(values, name))
    return [value if isinstance(value, str) else read_id(value, f"{name}[{place}]") for place, value in listed]


def read_list(values: Iterable[T], name: str) -> Iterable[T]:
    """The values, unless they are one text, or a mapping, of which only the keys would be used."""
    if isinstance(values, str | bytes | bytearray | Mapping) or not isinstance(values, Iterable):
        raise _wrong(values, name, "give a list, such as ['72', '7']")
    return values


def read_sequence(values: Iterable[T], name: str) -> Iterable[T]:
    """The values of a list whose order counts."""
    if isinstance(values, Set):
        raise _wrong(values, name, "its order counts, so give a list")
    return read_list(values, name)


def read_mapping(values: Mapping[str, T] | None, name: str) -> Mapping[str, T]:
    """The values by name; none for None."""
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise _wrong(values, name, "give a dict of names and values")
    for key in values:
        read_text(key, f"a name in {name}")
    return values


def read_text(value: object, name: str) -> str:
    """The text."""
    if isinstance(value, str):
        return value
    raise _wrong(value, name, "give a text")


def read_time(value: object, name: str) -> datetime:
    """The moment."""
    if isinstance(value, datetime):
        return value
    raise _wrong(value, name, "give a datetime")


def read_number(value: object, name: str, expected: str = "give a number") -> float:
    """The number; ``expected`` ends the message of the error."""
    if not isinstance(value, bool) and isinstance(value, Real | Decimal):
        return float(value)
    raise _wrong(value, name, expected)


def read_count(value: object, name: str) -> int:
    """The whole number, of at most 32 bits, as on the wire."""
    return _whole(value, name, 31)


def read_position(value: object, name: str) -> int:
    """The whole number, of at most 64 bits, as on the wire."""
    return _whole(value, name, 63)


def _whole(value: object, name: str, bits: int) -> int:
    if not isinstance(value, bool) and isinstance(value, Integral):
        number = int(value)
        if not -(2**bits) <= number < 2**bits:
            raise ValueError(f"{name} is {number}; that is too large")
        return number
    raise _wrong(value, name, "give a whole number")


def read_switch(value: object, name: str) -> bool:
    """True or False, of Python or of numpy."""
    if type(value).__name__ in {"bool", "bool_"}:
        return bool(cast(bool, value))
    raise _wrong(value, name, "give True or False")


def _wrong(value: object, name: str, expected: str) -> TypeError:
    return TypeError(f"{name} is of type {type(value).__name__}; {expected}")
