"""Bearer tokens in files, one token a line."""

import hmac
import re
from collections.abc import Sequence
from pathlib import Path

# The b68token of RFC 6750, section 2.1, "Authorization Request Header Field".
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")


def read_tokens(path: Path) -> tuple[str, ...]:
    """Reads the tokens of a file; skips empty lines.

    Raises:
        ValueError: the file cannot be read, has no token, or has a malformed one. The message never quotes the file.
    """
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {error if isinstance(error, OSError) else 'not ASCII'}") from None
    tokens = tuple(line.strip() for line in lines if line.strip())
    if not tokens:
        raise ValueError(f"{path} has no token")
    for number, token in enumerate(tokens, start=1):
        if not _TOKEN.fullmatch(token):
            raise ValueError(f"{path}: token {number} is not a bearer token of RFC 6750")
    return tokens


def is_among(given: str, tokens: Sequence[str]) -> bool:
    """Whether ``given`` is one of the tokens. A wrong token takes the same time however much of it is right."""
    encoded = given.encode()
    return any(hmac.compare_digest(encoded, token.encode()) for token in tokens)
