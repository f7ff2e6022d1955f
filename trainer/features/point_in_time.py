"""What is counted for each impression, as of the beginning of the slice of time that it is in.

A bundle is served until the next is trained, so that its counts are older than the request: those that a ranker learns
from are, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from trainer.data import Dataset
from trainer.data.impressions import Impressions
from trainer.features.click_rates import click_rates_before
from trainer.features.statistics import STATISTICS, item_statistics

_SLICES = 16


@dataclass(frozen=True, kw_only=True, eq=False)
class PointInTimeFeatures:
    """Of n impressions, what was counted of the item, ``[n, S]``, and of the user, ``[n, R]``, zeros for a stranger."""

    items: NDArray[np.float32]
    users: NDArray[np.float32]

    @classmethod
    def by_slices(cls, dataset: Dataset, shown: Impressions) -> Self:
        """Each as of the start of its slice, of which all have about as many impressions."""
        starts = np.unique(shown.times[np.linspace(0, len(shown), _SLICES, endpoint=False).astype(np.int64)])
        return cls.at(dataset, shown, starts[np.searchsorted(starts, shown.times, side="right") - 1])

    @classmethod
    def at(cls, dataset: Dataset, shown: Impressions, moments: NDArray[np.int64]) -> Self:
        """Each as of a moment ``[n]``."""
        times, owner = np.unique(moments, return_inverse=True)
        found = cls.none(dataset, len(shown))
        for place, moment in enumerate(times.tolist()):
            rows = np.flatnonzero(owner == place)
            click_rates, users = click_rates_before(dataset, moment), shown.user_rows[rows]
            counted = np.hstack([item_statistics(dataset, dataset.until(moment)), click_rates.items])
            found.items[rows] = counted[shown.item_rows[rows]]
            found.users[rows] = np.where(users[:, None] >= 0, click_rates.users[users], np.float32(0))
        return found

    @classmethod
    def none(cls, dataset: Dataset, count: int) -> Self:
        """Of impressions before which there is nothing."""
        objectives = 0 if dataset.impressions is None else len(dataset.impressions.objectives) + 1
        shapes = (count, len(STATISTICS) + objectives), (count, objectives)
        return cls(items=np.zeros(shapes[0], dtype=np.float32), users=np.zeros(shapes[1], dtype=np.float32))

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """One behind the other."""
        return cls(
            items=np.concatenate([one.items for one in parts]), users=np.concatenate([one.users for one in parts])
        )
