"""The one exception tree of Shortlist, and the one table of what its members are on the wire."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc


class ShortlistError(Exception):
    """Anything that Shortlist says went wrong."""


@dataclass(frozen=True)
class FieldViolation:
    """What is wrong with one field of a request."""

    field: str
    description: str


class InvalidRequest(ShortlistError):  # noqa: N818 - the field's own word
    """A request breaks the contract; ``violations`` say where."""

    def __init__(self, violations: tuple[FieldViolation, ...]) -> None:
        super().__init__("; ".join(f"{violation.field} {violation.description}" for violation in violations))
        self.violations = violations


class BundleError(ShortlistError):
    """A bundle cannot be used: ``reason`` says what is wrong with the file at ``path``.

    ``kind`` is for counting: "missing", "damaged" (not the bytes that were written), "unreadable", "format" (of another
    release), "signature", or "invalid" for contents that do not fit.
    """

    def __init__(self, path: Path, reason: str, kind: str = "invalid") -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason, self.kind = path, reason, kind


class BundleNotServed(ShortlistError):  # noqa: N818
    """Other bundles than the one asked for are ``served``, the current one first."""

    def __init__(self, message: str, served: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.served = tuple(served)


class Unauthenticated(ShortlistError):  # noqa: N818
    """The caller did not show who they are."""


class PermissionDenied(ShortlistError):  # noqa: N818
    """The caller may not call this method."""


class Overloaded(ShortlistError):  # noqa: N818
    """The service has more calls than it can handle; it may be asked again after ``retry_seconds``."""

    def __init__(self, message: str, retry_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.retry_seconds = retry_seconds


class CallerGone(ShortlistError):  # noqa: N818
    """The caller has cancelled the call, so nobody waits for its answer."""


class Unavailable(ShortlistError):  # noqa: N818
    """The service cannot be reached, or cannot answer now."""


class DeadlineExceeded(ShortlistError):  # noqa: N818
    """The answer did not come in time."""


# Read by the server from left to right and by the client from right to left. What is not here is nobody's contract:
# the server answers INTERNAL, and the client raises a plain ShortlistError.
STATUS_CODES: Mapping[type[ShortlistError], grpc.StatusCode] = {
    InvalidRequest: grpc.StatusCode.INVALID_ARGUMENT,
    BundleNotServed: grpc.StatusCode.FAILED_PRECONDITION,
    Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
    Overloaded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    CallerGone: grpc.StatusCode.CANCELLED,
    Unavailable: grpc.StatusCode.UNAVAILABLE,
    DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
}
