"""What came of what was shown so far: counted, as of a moment, and never looking at or past it."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from trainer.data import Dataset
from trainer.data.impressions import Impressions, place_groups

IMPRESSION_COUNT = "shown"
_PRIOR = 20.0


@dataclass(frozen=True, kw_only=True, eq=False)
class ClickRates:
    """Of each item and of each user, ``[items, R]`` and ``[users, R]``: how often it was shown, as a logarithm, and
    what each objective came to beside the mean of all, drawn to it by twenty impressions' worth.

    Of an event that is the logarithm of how often it happened over how often it does at the places where it was shown
    (Zhang and Jones, 2007, "clicks over expected clicks"), of a value the difference in standard deviations; both are 0
    for what was never shown.
    """

    names: tuple[str, ...]
    items: NDArray[np.float32]
    users: NDArray[np.float32]

    @classmethod
    def none(cls, items: int, users: int) -> Self:
        """Where nobody logged what was shown."""
        empty = [np.zeros((count, 0), dtype=np.float32) for count in (items, users)]
        return cls(names=(), items=empty[0], users=empty[1])


def click_rates_before(dataset: Dataset, time: int) -> ClickRates:
    """The rates of the impressions strictly before a time."""
    shown = dataset.impressions
    if shown is None:
        return ClickRates.none(len(dataset.item_ids), len(dataset.user_ids))
    earlier = shown.at(np.arange(shown.until(time)))
    return ClickRates(
        names=(IMPRESSION_COUNT, *shown.objectives),
        items=_rates(earlier, earlier.item_rows, len(dataset.item_ids)),
        users=_rates(earlier, earlier.user_rows, len(dataset.user_ids)),
    )


def _rates(shown: Impressions, owners: NDArray[np.int64], count: int) -> NDArray[np.float32]:
    known = owners >= 0
    columns = [np.log1p(np.bincount(owners[known], minlength=count))]
    groups = place_groups(shown.positions)
    for targets, is_value in zip(shown.targets.T, shown.is_value, strict=True):
        seen = known & np.isfinite(targets)
        of_objective, rows = targets[seen].astype(np.float64), owners[seen]
        columns.append(
            _of_value(of_objective, rows, count) if is_value else _of_event(of_objective, rows, groups[seen], count)
        )
    return np.stack(columns, axis=1).astype(np.float32)


def _of_event(
    happened: NDArray[np.float64], owners: NDArray[np.int64], groups: NDArray[np.int64], count: int
) -> NDArray[np.float64]:
    if not happened.any():
        return np.zeros(count)
    at_place = np.bincount(groups, weights=happened) / np.maximum(np.bincount(groups), 1)
    expected = np.bincount(owners, weights=at_place[groups], minlength=count)
    prior = _PRIOR * happened.mean()
    beside: NDArray[np.float64] = np.log(
        (np.bincount(owners, weights=happened, minlength=count) + prior) / (expected + prior)
    )
    return beside


def _of_value(values: NDArray[np.float64], owners: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    if not len(values) or not np.ptp(values):
        return np.zeros(count)
    times, sums = np.bincount(owners, minlength=count), np.bincount(owners, weights=values, minlength=count)
    beside: NDArray[np.float64] = (sums - times * values.mean()) / ((times + _PRIOR) * values.std())
    return beside
