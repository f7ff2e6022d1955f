"""Reads JSON that anybody may have written into the dataclasses of the manifest."""

import json
import math
import re
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import msgspec

from shortlist.bundle.regular_files import TooLarge, read_at_most
from shortlist.errors import BundleError

MAX_MANIFEST_BYTES = 2**24
T = TypeVar("T")


def read_json(path: Path) -> Any:  # noqa: ANN401
    """The content of a manifest's file.

    Raises:
        BundleError: it is missing, too large, or not JSON.
    """
    try:
        return json.loads(read_at_most(path, MAX_MANIFEST_BYTES).decode())
    except TooLarge as error:
        raise BundleError(path, f"has more than {MAX_MANIFEST_BYTES} bytes, which no manifest has") from error
    except FileNotFoundError as error:
        raise BundleError(path, "is missing", "missing") from error
    except OSError as error:
        raise BundleError(path, f"cannot be read: {error}", "unreadable") from error
    # Lists within lists exhaust the parser's stack.
    except (ValueError, RecursionError) as error:
        raise BundleError(path, f"cannot be read: {error}") from error


def nan_for_null(raw: Any) -> Any:  # noqa: ANN401
    """The same value with NaN in place of each null."""
    if isinstance(raw, dict):
        return {name: nan_for_null(value) for name, value in raw.items()}
    if isinstance(raw, list):
        return [nan_for_null(value) for value in raw]
    return math.nan if raw is None else raw


def converted(raw: Any, kind: type[T]) -> T:  # noqa: ANN401
    """An object of a dataclass from JSON; ignores unknown fields.

    Raises:
        ValueError: names the place of a wrong type or of a value out of range.
    """
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        raise ValueError(_with_key(str(error), raw, kind)) from error


def _with_key(message: str, raw: Any, kind: type[Any]) -> str:  # noqa: ANN401
    """msgspec writes ``$.files[...]`` for any entry of an object: names the first entry that is refused."""
    found = re.search(r"\$\.(\w+)\[\.\.\.\]", message)
    if found is None:
        return message
    field_type = get_type_hints(kind, include_extras=True)[found[1]]
    for key, value in raw[found[1]].items():
        try:
            msgspec.convert({key: value}, field_type)
        except msgspec.ValidationError:
            return message.replace("[...]", f"[{key[:80]!r}]", 1)
    return message
