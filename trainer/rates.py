"""What came of what was shown so far: counted, as of a moment, and never looking at or past it."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from trainer.data import Dataset
from trainer.data.impressions import Impressions

SHOWN = "shown"
_PRIOR = 20.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Rates:
    """Of each item and of each user, ``[items, R]`` and ``[users, R]``: how often it was shown, as a logarithm, and
    what each goal came to beside the mean of all, drawn to it by a few impressions' worth.

    Of an event that is the logarithm of the rate over the mean rate, of a value the difference in standard deviations;
    both are 0 for what was never shown.
    """

    names: tuple[str, ...]
    items: NDArray[np.float32]
    users: NDArray[np.float32]

    @classmethod
    def none(cls, items: int, users: int) -> Self:
        """Where nobody logged what was shown."""
        empty = [np.zeros((count, 0), dtype=np.float32) for count in (items, users)]
        return cls(names=(), items=empty[0], users=empty[1])


def rates_before(dataset: Dataset, time: int) -> Rates:
    """The rates of the impressions strictly before a time."""
    shown = dataset.impressions
    if shown is None:
        return Rates.none(len(dataset.item_ids), len(dataset.user_ids))
    earlier = shown.at(np.arange(shown.until(time)))
    return Rates(
        names=(SHOWN, *shown.goals),
        items=_rates(earlier, earlier.item_rows, len(dataset.item_ids)),
        users=_rates(earlier, earlier.user_rows, len(dataset.user_ids)),
    )


def _rates(shown: Impressions, owners: NDArray[np.int64], count: int) -> NDArray[np.float32]:
    known = owners >= 0
    columns = [np.log1p(np.bincount(owners[known], minlength=count))]
    for targets, is_value in zip(shown.targets.T, shown.is_value, strict=True):
        seen = known & np.isfinite(targets)
        columns.append(_beside_mean(targets[seen].astype(np.float64), owners[seen], count, is_value=bool(is_value)))
    return np.stack(columns, axis=1).astype(np.float32)


def _beside_mean(
    targets: NDArray[np.float64], owners: NDArray[np.int64], count: int, *, is_value: bool
) -> NDArray[np.float64]:
    if not len(targets) or not np.ptp(targets):
        return np.zeros(count)
    mean, spread = targets.mean(), targets.std()
    times, sums = np.bincount(owners, minlength=count), np.bincount(owners, weights=targets, minlength=count)
    smoothed = (sums + _PRIOR * mean) / (times + _PRIOR)
    beside: NDArray[np.float64] = (smoothed - mean) / spread if is_value else np.log(smoothed / mean)
    return beside
