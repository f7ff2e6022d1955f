"""Shortlist's exceptions, and the gRPC status code of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc


class ShortlistError(Exception):
    """The base of all errors that Shortlist raises on purpose."""


@dataclass(frozen=True)
class FieldViolation:
    """One violation: a field of the request, and its error."""

    field: str
    description: str


class InvalidRequest(ShortlistError):  # noqa: N818 - the field's own word
    """A request breaks the contract; ``violations`` name the fields."""

    def __init__(self, violations: tuple[FieldViolation, ...]) -> None:
        super().__init__("; ".join(f"{violation.field} {violation.description}" for violation in violations))
        self.violations = violations


class LoadError(ShortlistError):
    """A service cannot load the data that it answers from."""


class BundleError(LoadError):
    """A bundle cannot be used; ``reason`` says why and ``path`` names the file.

    ``kind`` labels the metric: "missing", "damaged" (other bytes than written), "unreadable", "format" (another
    release), "signature", "timeout" (no first answer), or "invalid" (inconsistent contents).
    """

    def __init__(self, path: Path, reason: str, kind: str = "invalid") -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason, self.kind = path, reason, kind


class StoreError(LoadError):
    """A store of events cannot be used; says why, and what to do."""


class BundleNotServed(ShortlistError):  # noqa: N818
    """The bundle asked for is not served; ``served`` are those that are, the current one first."""

    def __init__(self, message: str, served: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.served = tuple(served)


class Unauthenticated(ShortlistError):  # noqa: N818
    """The caller gave no valid credentials."""


class PermissionDenied(ShortlistError):  # noqa: N818
    """The caller may not call this method."""


class Overloaded(ShortlistError):  # noqa: N818
    """The service has more calls than it can handle; try again after ``retry_seconds``."""

    def __init__(self, message: str, retry_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.retry_seconds = retry_seconds


class CallerGone(ShortlistError):  # noqa: N818
    """The caller has cancelled the call."""


class Unavailable(ShortlistError):  # noqa: N818
    """The service cannot be reached, or cannot answer now; try again after ``retry_seconds`` where it names some."""

    def __init__(self, message: str, retry_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.retry_seconds = retry_seconds


class TlsMismatch(Unavailable):
    """The client and the service have TLS settings or certificates that do not fit, as far as gRPC's text tells."""


class DeadlineExceeded(ShortlistError):  # noqa: N818
    """The answer did not come within the deadline."""


# The server reads it from left to right, the client from right to left. For any other exception the server answers
# INTERNAL; for any other code the client raises a plain ShortlistError.
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
