"""Reads a section of a recipe into its dataclass, whose annotated types and msgspec constraints are the rules."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar, get_type_hints

import msgspec
from msgspec import Meta, inspect

from trainer.errors import RecipeError

T = TypeVar("T")
# The bounds of a float32, in which values are held; they also refuse inf and nan.
_LARGEST = 3.4e38

Text = Annotated[str, Meta(min_length=1)]
Texts = tuple[Text, ...]
Number = Annotated[float, Meta(ge=-_LARGEST, le=_LARGEST)]
Count = Annotated[int, Meta(ge=1, le=10_000)]
Share = Annotated[float, Meta(ge=0, le=0.95)]


def keys_of(section: type[Any]) -> dict[str, Any]:
    """The keys of a section, each with its annotated type."""
    return get_type_hints(section, include_extras=True)


def read_section(name: str, section: type[T], raw: object) -> T:
    """The section ``[name]`` of a recipe. Nothing is coerced but a whole number where a fraction is accepted.

    Raises:
        RecipeError: names the section, the key and its accepted values.
    """
    if not isinstance(raw, Mapping):
        raise RecipeError(f"[{name}]: must be a section, not {raw!r}")
    keys = keys_of(section)
    for key in raw:
        if key not in keys:
            raise RecipeError(f"[{name}] {key}: no such key; keys are {', '.join(keys)}")
    values = {key: _read_value(f"[{name}] {key}", keys[key], value) for key, value in raw.items()}
    try:
        return section(**values)
    except RecipeError as error:
        raise RecipeError(f"[{name}] {error}") from error


def _read_value(place: str, kind: Any, value: object) -> object:  # noqa: ANN401 - an annotation
    try:
        read: object = msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise RecipeError(f"{place}: must be {accepted(kind)}, not {value!r}") from error
    if isinstance(read, tuple) and len(set(read)) < len(read):
        raise RecipeError(f"{place}: must be {accepted(kind)}, not {value!r}")
    return read


def accepted(kind: Any) -> str:  # noqa: ANN401 - an annotation
    """The values that a key of this annotated type accepts, in words."""
    match inspect.type_info(kind):
        case inspect.UnionType(types=(of, inspect.NoneType())):
            return _in_words(of)
        case of:
            return _in_words(of)


def _in_words(of: inspect.Type) -> str:
    match of:
        case inspect.BoolType():
            return "true or false"
        case inspect.LiteralType(values=values):
            return f"one of {', '.join(str(value) for value in values)}"
        case inspect.StrType():
            return "a text that is not empty"
        case inspect.IntType(ge=low, le=high):
            return f"a whole number from {low} to {high}"
        case inspect.FloatType(ge=low, le=high):
            return "a number" if high == _LARGEST else f"a number from {low} to {high}"
        case inspect.VarTupleType():
            return "a list of different texts, none empty"
    raise AssertionError(of)
