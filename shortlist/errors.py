"""The one exception tree of Shortlist, and the one table of what its members are on the wire."""

from collections.abc import Mapping
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
    """A bundle cannot be used: ``reason`` says what is wrong with the file at ``path``."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = path, reason


class BundleNotServed(ShortlistError):  # noqa: N818
    """Another bundle than the one asked for is served."""


class Unavailable(ShortlistError):  # noqa: N818
    """The service cannot be reached, or cannot answer now."""


class DeadlineExceeded(ShortlistError):  # noqa: N818
    """The answer did not come in time."""


# Read by the server from left to right and by the client from right to left. What is not here is nobody's contract:
# the server answers INTERNAL, and the client raises a plain ShortlistError.
STATUS_CODES: Mapping[type[ShortlistError], grpc.StatusCode] = {
    InvalidRequest: grpc.StatusCode.INVALID_ARGUMENT,
    BundleNotServed: grpc.StatusCode.FAILED_PRECONDITION,
    Unavailable: grpc.StatusCode.UNAVAILABLE,
    DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
}
