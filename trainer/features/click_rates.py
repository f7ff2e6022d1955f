"""Smoothed click-through rates of items and users, from the impressions strictly before a time."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from trainer.data import Dataset
from trainer.data.impressions import Impressions, place_groups

IMPRESSION_COUNT = "impressions"
_PRIOR = 20.0


@dataclass(frozen=True, kw_only=True, eq=False)
class ClickRates:
    """The logarithm of the impression count and a rate for each objective, ``[items, R]`` and ``[users, R]``.

    The rate of an event is log(clicks / expected clicks), where the expectation follows from the positions (Zhang and
    Jones, 2007, "clicks over expected clicks"). The rate of a value is its difference from the mean, in standard
    deviations. Both are smoothed by a prior of twenty impressions, and 0 without impressions.
    """

    names: tuple[str, ...]
    items: NDArray[np.float32]
    users: NDArray[np.float32]

    @classmethod
    def none(cls, items: int, users: int) -> Self:
        """The rates for data without impressions."""
        empty = [np.zeros((count, 0), dtype=np.float32) for count in (items, users)]
        return cls(names=(), items=empty[0], users=empty[1])


def click_rate_names(dataset: Dataset) -> tuple[str, ...]:
    """The names of the rates: the impression count, then the objectives; none without impressions."""
    return () if dataset.impressions is None else (IMPRESSION_COUNT, *dataset.impressions.objectives)


def click_rates_before(dataset: Dataset, time: int) -> ClickRates:
    """The rates of the impressions strictly before a time."""
    impressions = dataset.impressions
    if impressions is None:
        return ClickRates.none(len(dataset.item_ids), len(dataset.user_ids))
    earlier = impressions.at(np.arange(impressions.until(time)))
    return ClickRates(
        names=click_rate_names(dataset),
        items=_rates(earlier, earlier.item_rows, len(dataset.item_ids)),
        users=_rates(earlier, earlier.user_rows, len(dataset.user_ids)),
    )


def _rates(impressions: Impressions, owners: NDArray[np.int64], count: int) -> NDArray[np.float32]:
    known = owners >= 0
    columns = [np.log1p(np.bincount(owners[known], minlength=count))]
    groups = place_groups(impressions.positions)
    for targets, is_value in zip(impressions.targets.T, impressions.is_value, strict=True):
        observed = known & np.isfinite(targets)
        outcomes, rows = targets[observed].astype(np.float64), owners[observed]
        columns.append(
            _value_rates(outcomes, rows, count) if is_value else _event_rates(outcomes, rows, groups[observed], count)
        )
    return np.stack(columns, axis=1).astype(np.float32)


def _event_rates(
    happened: NDArray[np.float64], owners: NDArray[np.int64], groups: NDArray[np.int64], count: int
) -> NDArray[np.float64]:
    if not happened.any():
        return np.zeros(count)
    at_position = np.bincount(groups, weights=happened) / np.maximum(np.bincount(groups), 1)
    expected = np.bincount(owners, weights=at_position[groups], minlength=count)
    prior = _PRIOR * happened.mean()
    rates: NDArray[np.float64] = np.log(
        (np.bincount(owners, weights=happened, minlength=count) + prior) / (expected + prior)
    )
    return rates


def _value_rates(values: NDArray[np.float64], owners: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    if not len(values) or not np.ptp(values):
        return np.zeros(count)
    times, sums = np.bincount(owners, minlength=count), np.bincount(owners, weights=values, minlength=count)
    rates: NDArray[np.float64] = (sums - times * values.mean()) / ((times + _PRIOR) * values.std())
    return rates
