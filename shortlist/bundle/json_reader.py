"""JSON into frozen dataclasses, as their annotations say, for input that nobody has checked."""

import dataclasses
from collections.abc import Mapping
from typing import Any, get_args, get_origin, get_type_hints


def read_json(kind: Any, raw: Any, place: str) -> Any:  # noqa: ANN401 - the annotation decides
    """``raw`` as ``kind``: a dataclass, ``tuple[X, ...]``, ``Mapping[str, X]``, str, bool, int, float or Any.

    Raises:
        ValueError: says at which ``place`` it is something else.
    """
    if dataclasses.is_dataclass(kind):
        return _read_dataclass(kind, raw, place)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is tuple:
        _require(isinstance(raw, list), place, "a list", raw)
        return tuple(read_json(arguments[0], one, f"{place}[{at}]") for at, one in enumerate(raw))
    if origin is Mapping:
        _require(isinstance(raw, dict), place, "an object", raw)
        return {key: read_json(arguments[1], one, f"{place}[{key[:80]!r}]") for key, one in raw.items()}
    return raw if kind is Any else _read_plain(kind, raw, place)


def _read_dataclass(kind: Any, raw: Any, place: str) -> Any:  # noqa: ANN401
    _require(isinstance(raw, dict), place, "an object", raw)
    hints = get_type_hints(kind)
    if unknown := raw.keys() - hints.keys():
        raise ValueError(f"{place} has {min(unknown)[:80]!r}, which this release does not know")
    for field in dataclasses.fields(kind):
        optional = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        if field.name not in raw and not optional:
            raise ValueError(f"{place} has no {field.name!r}")
    return kind(**{name: read_json(hints[name], value, f"{place}.{name}") for name, value in raw.items()})


def _read_plain(kind: type, raw: Any, place: str) -> Any:  # noqa: ANN401
    # JSON writes 1.0 as 1 too; and to Python, true is a number.
    accepted = (int, float) if kind is float else (kind,)
    _require(isinstance(raw, accepted) and (kind is bool or not isinstance(raw, bool)), place, kind.__name__, raw)
    try:
        return kind(raw)
    except OverflowError as error:
        raise ValueError(f"{place} is too large") from error


def _require(holds: bool, place: str, expected: str, found: Any) -> None:  # noqa: ANN401
    if not holds:
        raise ValueError(f"{place} has to be {expected}, and is {type(found).__name__}")
