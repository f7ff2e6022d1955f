"""The keys of a recipe: what each accepts, and how a section of them is read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, get_type_hints

from trainer.errors import RecipeError

_LARGEST = 1e300  # shuts out inf, nan and whole numbers that no float holds


@dataclass(frozen=True)
class Range:
    """What a search tries: numbers from ``low`` to ``high``, with ``log`` as often in each power of ten."""

    low: float
    high: float
    log: bool = False

    def has(self, value: float) -> bool:
        """Whether it would be tried."""
        return self.low <= value <= self.high


class Choices:
    """What a search tries: these whole numbers."""

    def __init__(self, *values: int) -> None:
        self.values = values

    def has(self, value: float) -> bool:
        """Whether it would be tried."""
        return value in self.values


def within(
    default: float | None,
    low: float,
    high: float,
    tuned: Range | Choices | None = None,
) -> Any:  # noqa: ANN401 - as dataclasses.field
    """A number whose accepted range, both ends included, stands beside its default, and what of it a search tries."""
    return field(default=default, metadata={"range": (low, high)} | ({} if tuned is None else {"tuned": tuned}))


def one_of(*choices: str) -> Any:  # noqa: ANN401 - as dataclasses.field
    """A text that is one of these; the first is the default."""
    return field(default=choices[0], metadata={"choices": choices})


def read_section(name: str, kind: type[Any], raw: Mapping[str, object]) -> Any:  # noqa: ANN401 - an instance of kind
    """A section called ``name`` as the dataclass ``kind``, whose fields say what each key accepts.

    Raises RecipeError, which names the section, the key and what is accepted.
    """
    hints = get_type_hints(kind)
    metadata = {key.name: key.metadata for key in fields(kind)}
    values: dict[str, object] = {}
    for key, value in raw.items():
        if key not in hints:
            raise RecipeError(f"[{name}] {key}: no such key; keys are {', '.join(hints)}")
        accepted, read = _READERS[hints[key]]
        values[key] = read(value)
        if "range" in metadata[key]:
            low, high = metadata[key]["range"]
            accepted = f"{accepted} from {low} to {high}"
            values[key] = _inside(values[key], low, high)
        if "choices" in metadata[key]:
            accepted = f"one of {', '.join(metadata[key]['choices'])}"
            values[key] = value if value in metadata[key]["choices"] else None
        if values[key] is None:
            raise RecipeError(f"[{name}] {key}: must be {accepted}, not {value!r}")
    return kind(**values)


def _inside(value: Any, low: float, high: float) -> Any:  # noqa: ANN401 - the value given, or None
    return value if value is not None and low <= value <= high else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -_LARGEST <= value <= _LARGEST:
        return None
    return float(value)


def _texts(value: object) -> tuple[str, ...] | None:
    if not isinstance(value, list) or not all(_text(one) for one in value) or len(set(value)) < len(value):
        return None
    return tuple(value)


# What a key of each type accepts, in words, and the function that reads it: None for what it does not accept.
_READERS: Mapping[object, tuple[str, Callable[[object], object]]] = {
    str: ("a text that is not empty", _text),
    str | None: ("a text that is not empty", _text),
    bool: ("true or false", _flag),
    int: ("a whole number", _whole),
    int | None: ("a whole number", _whole),
    float: ("a number", _number),
    float | None: ("a number", _number),
    tuple[str, ...]: ("a list of different texts, none empty", _texts),
}
