"""What ratings say beyond the means of their item and their user, those of few ratings being drawn to zero."""

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from trainer.experiments.ratings.ratings import Floats, Ints, Ratings, Scale

_PRIOR_RATINGS = 5.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Means:
    """Of the deviations of each item ``[I]``, and of each user ``[U]`` of what is left: the baseline estimates of
    Koren, 2010, "Factor in the neighbors", in the way that takes one after the other."""

    of_items: NDArray[np.float64]
    of_users: NDArray[np.float64]

    @classmethod
    def of(cls, ratings: Ratings, scale: Scale) -> Self:
        """Those of ratings on a scale."""
        deviations = scale.deviations(ratings.values)
        of_items = _shrunk(ratings.item_rows, deviations, ratings.items)
        of_users = _shrunk(ratings.user_rows, deviations - of_items[ratings.item_rows], ratings.users)
        return cls(of_items=of_items, of_users=of_users)


@dataclass(frozen=True, kw_only=True, eq=False)
class Residuals:
    """N ratings of ``users`` users and ``items`` items: their ``deviations`` from the mean, without the item's shrunk
    mean ``beyond_item``, and without the user's of what is left ``beyond_both``."""

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
        """Those of ratings on a scale."""
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
        """Those at some places, by the same means."""
        arrays: dict[str, Any] = {name: one[places] for name, one in vars(self).items() if isinstance(one, np.ndarray)}
        return replace(self, **arrays)


def _shrunk(rows: Ints, values: NDArray[np.floating], size: int) -> NDArray[np.float64]:
    return np.bincount(rows, values, size) / (np.bincount(rows, minlength=size) + _PRIOR_RATINGS)
