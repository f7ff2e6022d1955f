"""Authorises calls by bearer token, and by the allow list for the caller's certificate."""

from collections.abc import Iterable
from pathlib import Path

from shortlist.errors import PermissionDenied, Unauthenticated
from shortlist.security.files import WatchedFiles
from shortlist.security.metadata import AUTHORIZATION
from shortlist.security.names import import_parser, names_in
from shortlist.security.rules import may_call, read_rules
from shortlist.security.tokens import is_among, read_tokens


class TokenCheck:
    """Checks bearer tokens against a file, which is read again when it changes.

    Raises:
        ValueError: the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._tokens = WatchedFiles([path], lambda: read_tokens(path))

    def knows(self, metadata: Iterable[tuple[str, str | bytes]]) -> bool:
        """Whether a call's metadata has a valid token."""
        tokens = self._tokens.value()
        for key, value in metadata:
            if key == AUTHORIZATION and isinstance(value, str):
                scheme, _, given = value.partition(" ")
                if scheme.lower() == "bearer" and is_among(given.strip(), tokens):
                    return True
        return False


class AllowList:
    """Checks callers' certificates against the allow list, which is read again when it changes.

    Raises:
        ValueError: the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._rules = WatchedFiles([path], lambda: read_rules(path))
        import_parser()

    def permits(self, certificate: bytes, method: str) -> bool:
        """Whether a PEM certificate may call a method such as ``package.Service/Method``."""
        return may_call(self._rules.value(), names_in(certificate), method)


def unauthenticated() -> Unauthenticated:
    """The error for a missing token and for a wrong one alike."""
    return Unauthenticated("a valid bearer token is required")


def forbidden() -> PermissionDenied:
    """The error for a certificate that has no rule for the method."""
    return PermissionDenied("the client's certificate may not call this method")
