"""Authorises calls by bearer token, and by the allow list for the caller's certificate."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

from collections.abc import Iterable, Sequence

import grpc

from shortlist.errors import PermissionDenied, Unauthenticated
from shortlist.security.files import WatchedFiles
from shortlist.security.metadata import AUTHORIZATION
from shortlist.security.names import names_in
from shortlist.security.rules import may_call, read_rules
from shortlist.security.settings import ServerSecurity
from shortlist.security.tokens import is_among, read_tokens

_CERTIFICATE = "x509_pem_cert"


class Authoriser:
    """Checks each call against the token file and the allow list. Each is optional; changed files are read again.

    Raises:
        ValueError: a file cannot be used.
    """

    def __init__(self, security: ServerSecurity) -> None:
        tokens, rules = security.token_file, security.allow
        self._tokens = None if tokens is None else WatchedFiles([tokens], lambda: read_tokens(tokens))
        self._rules = None if rules is None else WatchedFiles([rules], lambda: read_rules(rules))

    def knows(self, metadata: Iterable[tuple[str, str | bytes]]) -> bool:
        """Whether a call's metadata has a valid token, or no token is required."""
        if self._tokens is None:
            return True
        tokens = self._tokens.value()
        for key, value in metadata:
            if key == AUTHORIZATION and isinstance(value, str):
                scheme, _, given = value.partition(" ")
                if scheme.lower() == "bearer" and is_among(given.strip(), tokens):
                    return True
        return False

    def check(self, method: str, context: grpc.ServicerContext) -> None:
        """Refuses a forbidden call of a method such as ``/package.Service/Method``.

        Raises:
            Unauthenticated: the call has no valid token.
            PermissionDenied: the allow list does not grant the method to the certificate.
        """
        if not self.knows(context.invocation_metadata()):
            raise unauthenticated()
        if self._rules is not None and not may_call(self._rules.value(), _names(context), method.removeprefix("/")):
            raise PermissionDenied("the client's certificate may not call this method")


def unauthenticated() -> Unauthenticated:
    """The error for a missing token and for a wrong one alike."""
    return Unauthenticated("a valid bearer token is required")


def authoriser(security: ServerSecurity) -> Authoriser | None:
    """The authoriser of a server; None when it has nothing to check.

    Raises:
        ValueError: a file cannot be used.
    """
    return Authoriser(security) if security.token_file or security.allow else None


def _names(context: grpc.ServicerContext) -> frozenset[str]:
    # The stubs declare one bytes value; gRPC returns a list of one.
    certificates: Sequence[bytes] = context.auth_context().get(_CERTIFICATE, ())  # type: ignore[assignment]
    return names_in(certificates[0]) if certificates else frozenset()
