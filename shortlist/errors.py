"""The one exception tree of Shortlist."""

from dataclasses import dataclass
from pathlib import Path


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
    """A bundle cannot be used."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = path, reason


class BundleNotServed(ShortlistError):  # noqa: N818
    """Another bundle than the one asked for is served."""


class Unavailable(ShortlistError):  # noqa: N818
    """The service cannot answer now."""
