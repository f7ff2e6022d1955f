"""The ids of bundles, which sort by time."""

import contextlib
import re
import secrets
from datetime import UTC, datetime, timedelta

_TIME = "%Y%m%dT%H%M%S"
_BUNDLE_ID = re.compile(r"[0-9]{8}T[0-9]{6}-[0-9a-f]{4}")


def new_bundle_id(newest: str = "") -> str:
    """A new id that sorts by time, such as ``20261124T101500-3f9c``, and after the id ``newest``.

    So a clock that went back makes no bundle look older than the ones before it.
    """
    time = datetime.now(UTC)
    # The digits of an id that somebody wrote by hand need not be a time.
    with contextlib.suppress(ValueError, OverflowError):
        former = datetime.strptime(newest.partition("-")[0], _TIME).replace(tzinfo=UTC)
        time = max(time, former + timedelta(seconds=1))
    return f"{time.strftime(_TIME)}-{secrets.token_hex(2)}"


def is_bundle_id(text: str) -> bool:
    """Whether the text has the form of a bundle id."""
    return _BUNDLE_ID.fullmatch(text) is not None
