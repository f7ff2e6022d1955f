"""Rows of a table that cannot be used: skipped up to a share of all rows, and counted by reason."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Self

import numpy as np
from numpy.typing import NDArray

from trainer.errors import DataError
from trainer.recipe import DataRecipe

SHOWN, SHOWN_WIDTH = 3, 60
"""How many of the bad cells a message has, and how much of each."""


@dataclass(kw_only=True)
class _Reason:
    count: int = 0
    first: list[str] = field(default_factory=list)


class BadRows:
    """The bad rows of one table, by reason. Each row counts once, for the first reason that is found."""

    def __init__(self, name: str, share: Fraction) -> None:
        """Takes the name that messages give the table, and the share of its rows that may be skipped, 0 to 1."""
        self._name, self._share, self._rows = name, share, 0
        self._reasons: dict[str, _Reason] = {}

    @classmethod
    def of(cls, recipe: DataRecipe, name: str) -> Self | None:
        """The bad rows that a recipe allows in the table of this name; None where it allows none."""
        share = recipe.data.skipped_share
        return None if share is None else cls(name, share)

    def of_part(self, rows: int) -> "Skipping":
        """For the next part of the table, with so many rows."""
        self._rows += rows
        return Skipping(bad=self, usable=np.ones(rows, dtype=np.bool_))

    def count(self, reason: str, rows: NDArray[np.int64], shown: Callable[[int], str]) -> None:
        """Counts rows of a part. `shown` is the text of one of them in messages."""
        found = self._reasons.setdefault(reason, _Reason())
        found.count += len(rows)
        found.first += [shown(int(row)) for row in rows[: SHOWN - len(found.first)]]

    def warnings(self) -> Iterator[str]:
        """One sentence with the counts and the first rows, if any row was skipped.

        Raises DataError if those are more than the share of the rows that were read, or all of them.
        """
        skipped = self._skipped
        if skipped > self._share * self._rows or skipped == self._rows > 0:
            raise DataError(
                f"{self._name}: {skipped:,} of {self._rows:,} rows ({self._percent}) are bad, and [data] bad_rows "
                f"skips up to {float(100 * self._share):g} %: {self._counts}"
            )
        if skipped:
            yield f"{self._name}: {skipped:,} of {self._rows:,} rows ({self._percent}) were skipped: {self._counts}"

    @property
    def _skipped(self) -> int:
        return sum(one.count for one in self._reasons.values())

    @property
    def _percent(self) -> str:
        return f"{100 * self._skipped / self._rows:.3g} %"

    @property
    def _counts(self) -> str:
        found = sorted(self._reasons.items(), key=lambda one: -one[1].count)
        return "; ".join(f"{reason} in {one.count:,}, first {', '.join(one.first)}" for reason, one in found)


@dataclass(frozen=True, kw_only=True, eq=False)
class Skipping:
    """The bad rows of a table or of a part of it. ``usable`` ``[n]`` are all others."""

    bad: BadRows
    usable: NDArray[np.bool_]

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """The bad rows of a table from its parts, in their order."""
        return cls(bad=parts[0].bad, usable=np.concatenate([one.usable for one in parts]))

    def skip(self, rows: NDArray[np.bool_], reason: str, shown: Callable[[int], str]) -> None:
        """Leaves out rows ``[n]`` and counts those that are not left out yet."""
        new = np.flatnonzero(rows & self.usable)
        if len(new):
            self.bad.count(reason, new, shown)
            self.usable[new] = False
