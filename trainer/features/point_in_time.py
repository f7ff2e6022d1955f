"""Point-in-time features of impressions: counts as of the beginning of the time slice that an impression is in.

A bundle is served until the next is trained, so its counts are older than the request. The counts that a ranker learns
from are older, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from trainer.data import Dataset
from trainer.data.impressions import Impressions
from trainer.features.click_rates import click_rates_before
from trainer.features.layout import FeatureLayout, point_in_time_columns
from trainer.features.statistics import item_statistics

_SLICES = 16


@dataclass(frozen=True, kw_only=True, eq=False)
class PointInTimeFeatures:
    """Item columns ``[n, S]`` and user columns ``[n, R]`` of n impressions; zeros for unknown users."""

    items: NDArray[np.float32]
    users: NDArray[np.float32]

    @classmethod
    def by_slices(cls, dataset: Dataset, impressions: Impressions) -> Self:
        """The columns as of the start of each impression's slice; all slices have about as many impressions."""
        starts = np.unique(
            impressions.times[np.linspace(0, len(impressions), _SLICES, endpoint=False).astype(np.int64)]
        )
        return cls.at(dataset, impressions, starts[np.searchsorted(starts, impressions.times, side="right") - 1])

    @classmethod
    def at(cls, dataset: Dataset, impressions: Impressions, moments: NDArray[np.int64]) -> Self:
        """The columns as of the moments ``[n]``."""
        times, owner = np.unique(moments, return_inverse=True)
        found = cls.none(dataset, len(impressions))
        for place, moment in enumerate(times.tolist()):
            rows = np.flatnonzero(owner == place)
            click_rates, users = click_rates_before(dataset, moment), impressions.user_rows[rows]
            columns = point_in_time_columns(item_statistics(dataset, dataset.until(moment)), click_rates.items)
            found.items[rows] = columns[impressions.item_rows[rows]]
            found.users[rows] = np.where(users[:, None] >= 0, click_rates.users[users], np.float32(0))
        return found

    @classmethod
    def none(cls, dataset: Dataset, count: int) -> Self:
        """The columns of impressions that nothing precedes."""
        layout = FeatureLayout.of(dataset)
        items = np.zeros((count, layout.point_in_time), dtype=np.float32)
        return cls(items=items, users=np.zeros((count, len(layout.click_rates)), dtype=np.float32))

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Parts, concatenated."""
        return cls(
            items=np.concatenate([one.items for one in parts]), users=np.concatenate([one.users for one in parts])
        )
