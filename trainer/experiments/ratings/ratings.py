"""Ratings of items by users, and their scale."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from trainer.data import Dataset
from trainer.errors import DataError

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
_UNITS = 4  # a scale of 1 to 5 is as it is


@dataclass(frozen=True, kw_only=True, eq=False)
class Ratings:
    """N ratings, each user's of an item once, of ``users`` users and ``items`` items."""

    user_rows: Ints
    """[N], as are the others."""
    item_rows: Ints
    values: Floats
    users: int
    items: int

    @classmethod
    def of(cls, dataset: Dataset) -> Self:
        """The ratings of a data set, in its order; a user's last rating of an item counts.

        Raises:
            DataError: its interactions have no values.
        """
        rated = np.flatnonzero(np.isfinite(dataset.values))
        if not len(rated):
            raise DataError("the interactions have no values; [interactions] value names the column of the ratings")
        pairs = dataset.user_rows[rated] * len(dataset.item_ids) + dataset.item_rows[rated]
        _, last = np.unique(pairs[::-1], return_index=True)
        places = rated[np.sort(len(rated) - 1 - last)]
        return cls(
            user_rows=np.asarray(dataset.user_rows[places]),
            item_rows=np.asarray(dataset.item_rows[places]),
            values=np.asarray(dataset.values[places]),
            users=len(dataset.user_ids),
            items=len(dataset.item_ids),
        )

    def __len__(self) -> int:
        return len(self.values)

    def at(self, places: Ints) -> Self:
        """The ratings at some places."""
        chosen = {name: getattr(self, name)[places] for name in ("user_rows", "item_rows", "values")}
        return replace(self, **chosen)


@dataclass(frozen=True, kw_only=True, eq=False)
class Scale:
    """The distinct ratings ``levels``, ascending, and the ``mean``.

    A rating is learnt as its deviation from the mean in quarters of the whole scale, so that settings suit any scale.
    """

    levels: NDArray[np.float64]
    mean: float

    @classmethod
    def of(cls, ratings: Ratings) -> Self:
        """The scale of some ratings. Raises DataError when all are the same."""
        levels = np.unique(ratings.values).astype(np.float64)
        if len(levels) < 2:
            raise DataError(f"all {len(ratings):,} ratings to learn from are the same")
        return cls(levels=levels, mean=float(ratings.values.mean(dtype=np.float64)))

    @property
    def unit(self) -> float:
        """A quarter of the scale."""
        return float(self.levels[-1] - self.levels[0]) / _UNITS

    def deviations(self, values: NDArray[np.floating]) -> Floats:
        """The deviations of ratings ``[N]`` from the mean, in units."""
        return ((values - self.mean) / self.unit).astype(np.float32)

    def clipped(self, deviations: NDArray[np.floating]) -> NDArray[np.float64]:
        """Back to ratings ``[N]``, none outside the scale."""
        return np.clip(self.mean + self.unit * deviations.astype(np.float64), self.levels[0], self.levels[-1])
