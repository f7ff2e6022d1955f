"""The outcome of a commit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Outcome = TypeVar("Outcome")


@dataclass(frozen=True, kw_only=True)
class Committed(Generic[Outcome]):
    """The outcome of each written thing, in order, and the position of the store that holds all of them."""

    position: int
    outcomes: Sequence[Outcome]
