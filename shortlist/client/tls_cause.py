"""Reads from gRPC's text why two ends cannot connect: nothing listens, or their TLS settings differ."""

import re
from urllib.parse import unquote

import grpc

from shortlist.errors import ShortlistError, TlsMismatch, Unavailable
from shortlist.security.settings import ClientSecurity
from shortlist.status import read_error

_LAST_ERROR = "last error: "
_NOBODY = re.compile(r"last error: .*?ipv[46]:(\S+): .*Connection refused")
_REFUSED_CERTIFICATE = re.compile(r"CERTIFICATE_VERIFY_FAILED: (.*?)(?:: OK)?$")


def read_failure(error: grpc.RpcError, security: ClientSecurity) -> ShortlistError:
    """The exception of a failed call of a client with these credentials."""
    failure = read_error(error)
    if not isinstance(failure, Unavailable):
        return failure
    nobody = _NOBODY.search(str(failure))
    if nobody:
        return Unavailable(
            f"nothing listens at {unquote(nobody[1])} (Connection refused); start the service there, or call the "
            "address where it listens"
        )
    cause = tls_cause(str(failure), security)
    return failure if cause is None else TlsMismatch(cause)


def tls_cause(details: str, security: ClientSecurity) -> str | None:
    """The likely cause of a failed connection with the way to mend it; None when TLS is not the cause.

    ``details`` is gRPC's text. A server that closes new connections at once may also be stopping, which the text says.
    """
    _, found, reason = details.rpartition(_LAST_ERROR)
    if not found:
        return None
    refused = _REFUSED_CERTIFICATE.search(reason)
    if refused:
        return f"this client refuses the server's certificate ({refused[1]}); renew it, or give the CA that signed it"
    if "WRONG_VERSION_NUMBER" in reason:
        return "the server speaks plaintext and this client TLS; start the server with --tls-cert, or give no CA"
    if "Hostname Verification Check failed" in reason:
        return "the server's certificate is for another name; call the server by a name in its certificate"
    if reason.endswith("Socket closed"):
        return _closed(security)
    return None


def _closed(security: ClientSecurity) -> str:
    if security.ca is None:
        closed, wanted = "this plaintext connection", "wants TLS, so give the CA of its certificate"
    else:
        refused = "this client's certificate" if security.cert else "clients without a certificate"
        closed, wanted = "the connection", f"refuses {refused}, so give one that its CA signed"
    return f"the server closed {closed}; it probably {wanted}; or it was stopping"
