"""The metadata that a client sends with each call."""

import functools
from pathlib import Path

from shortlist.security.files import WatchedFiles
from shortlist.security.settings import ClientSecurity
from shortlist.security.tokens import read_tokens

AUTHORIZATION = "authorization"


def call_metadata(security: ClientSecurity) -> tuple[tuple[str, str], ...]:
    """The current bearer token, the first of its file, as a call's metadata; empty without a token file.

    Raises:
        ValueError: the file cannot be used, and never could.
    """
    return () if security.token_file is None else _watched(security.token_file).value()


@functools.cache
def _watched(path: Path) -> WatchedFiles[tuple[tuple[str, str], ...]]:
    return WatchedFiles([path], lambda: ((AUTHORIZATION, f"Bearer {read_tokens(path)[0]}"),))
