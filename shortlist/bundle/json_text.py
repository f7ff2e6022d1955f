"""JSON that every reader accepts."""

from typing import Any

import msgspec


def json_text(value: object, *, sort_keys: bool = False) -> str:
    """The value, of plain types and dataclasses, as indented JSON with a line's end.

    NaN and infinity become null. RFC 8259 has neither, and most readers refuse Python's ``NaN``.
    """
    encoded = msgspec.json.encode(value, enc_hook=_plain, order="sorted" if sort_keys else None)
    return msgspec.json.format(encoded, indent=2).decode() + "\n"


def _plain(number: Any) -> Any:  # noqa: ANN401 - a number of numpy, the only other kind in reports
    return number.item()
