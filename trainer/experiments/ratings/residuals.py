"""Residuals of ratings beyond the shrunk means of their item and their user."""

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from trainer.experiments.ratings.ratings import Floats, Ints, Ratings, Scale

_PRIOR_RATINGS = 5.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Means:
    """The mean deviation of each item ``[I]``, and each user's mean ``[U]`` of the remainder.

    These are the baseline estimates of Koren, 2010, "Factor in the neighbors", computed one after the other.
    """

    of_items: NDArray[np.float64]
    of_users: NDArray[np.float64]

    @classmethod
    def of(cls, ratings: Ratings, scale: Scale) -> Self:
        """The means of ratings on a scale."""
        deviations = scale.deviations(ratings.values)
        of_items = _shrunk(ratings.item_rows, deviations, ratings.items)
        of_users = _shrunk(ratings.user_rows, deviations - of_items[ratings.item_rows], ratings.users)
        return cls(of_items=of_items, of_users=of_users)


@dataclass(frozen=True, kw_only=True, eq=False)
class Residuals:
    """N ratings of ``users`` users and ``items`` items, as ``deviations`` from the mean.

    ``beyond_item`` subtracts the item's shrunk mean; ``beyond_both`` also subtracts the user's.
    """

    user_rows: Ints
    """[N], as are the others."""
    item_rows: Ints
    deviations: Floats
    beyond_item: Floats
    beyond_both: Floats
    users: int
    items: int

    @classmethod
    def of(cls, ratings: Ratings, scale: Scale) -> Self:
        """The residuals of ratings on a scale."""
        deviations, means = scale.deviations(ratings.values), Means.of(ratings, scale)
        beyond_item = deviations - means.of_items[ratings.item_rows]
        return cls(
            user_rows=ratings.user_rows,
            item_rows=ratings.item_rows,
            deviations=deviations,
            beyond_item=beyond_item.astype(np.float32),
            beyond_both=(beyond_item - means.of_users[ratings.user_rows]).astype(np.float32),
            users=ratings.users,
            items=ratings.items,
        )

    def at(self, places: Ints) -> Self:
        """The residuals at some places, from the same means."""
        arrays: dict[str, Any] = {name: one[places] for name, one in vars(self).items() if isinstance(one, np.ndarray)}
        return replace(self, **arrays)


def _shrunk(rows: Ints, values: NDArray[np.floating], size: int) -> NDArray[np.float64]:
    return np.bincount(rows, values, size) / (np.bincount(rows, minlength=size) + _PRIOR_RATINGS)
