"""Click-through rates and point-in-time features look back only: planted leaks are found."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from trainer.data import Dataset
from trainer.data.context import Context
from trainer.data.impressions import Impressions
from trainer.data.time_texts import SECOND
from trainer.features.click_rates import click_rates_before
from trainer.features.layout import STATISTICS
from trainer.features.point_in_time import PointInTimeFeatures

ITEMS, USERS, COUNT = 40, 25, 4000


def shown_of(
    users: NDArray[np.int64], items: NDArray[np.int64], times: NDArray[np.int64], random: np.random.Generator
) -> Impressions:
    """Impressions of a coin's toss each, and of a value that is as random."""
    count = len(users)
    targets = np.stack([random.integers(0, 2, count), random.normal(3.0, 1.0, count)], axis=1).astype(np.float32)
    return Impressions(
        places=np.arange(count),
        user_rows=users,
        item_rows=items,
        times=times,
        positions=np.full(count, -1),
        targets=targets,
        context=Context.none(count),
        objectives=("click", "rating"),
        is_value=np.array([False, True]),
        unknown_items=0,
    )


@pytest.fixture
def tossed(dataset_of: Callable[..., Dataset]) -> Dataset:
    """A data set whose impressions predict nothing: seven a second, of all items and users, one of them unknown."""
    random = np.random.default_rng(5)
    users, items = random.integers(-1, USERS, COUNT), random.integers(0, ITEMS, COUNT)
    rows = [(f"u{n % USERS:02}", f"i{n % ITEMS:02}", n * 7, float(n % 5)) for n in range(200)]
    return replace(dataset_of(rows), impressions=shown_of(users, items, np.arange(COUNT) // 7 * SECOND, random))


def shown(dataset: Dataset) -> Impressions:
    """Its impressions."""
    assert dataset.impressions is not None
    return dataset.impressions


def correlation(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """The correlation of two columns."""
    return float(np.corrcoef(one, other)[0, 1])


def test_what_came_later_changes_nothing(tossed: Dataset) -> None:
    """Proves that neither an impression at the time nor one after it is looked at."""
    impressions, time = shown(tossed), 200 * SECOND
    later = impressions.times >= time
    targets = np.where(later[:, None], 1 - impressions.targets, impressions.targets)
    moved = np.where(later, (impressions.item_rows + 1) % ITEMS, impressions.item_rows)
    other = replace(tossed, impressions=replace(impressions, targets=targets, item_rows=moved))
    found, expected = click_rates_before(other, time), click_rates_before(tossed, time)
    np.testing.assert_array_equal(found.items, expected.items)
    np.testing.assert_array_equal(found.users, expected.users)
    assert found.items.any()
    assert not click_rates_before(tossed, 0).items.any()


def test_rates_by_hand(tossed: Dataset) -> None:
    """Proves counts and both kinds of objective, smoothed by twenty impressions; unknown users have no row."""
    impressions = shown(tossed)
    before = impressions.times < 300 * SECOND
    found = click_rates_before(tossed, 300 * SECOND)
    assert found.names == ("impressions", "click", "rating")
    for owners, table, row in ((impressions.item_rows, found.items, 7), (impressions.user_rows, found.users, 3)):
        known = impressions.targets[before & (owners >= 0)]
        mine = impressions.targets[before & (owners == row)]
        means, counted = known.mean(0, dtype=np.float64), len(mine)
        smoothed = (mine.sum(0) + 20 * means) / (counted + 20)
        expected = [np.log1p(counted), np.log(smoothed[0] / means[0]), (smoothed[1] - means[1]) / known[:, 1].std()]
        np.testing.assert_allclose(table[row], expected, rtol=1e-4, atol=1e-6)


def test_each_impression_has_the_counts_of_its_slices_start(tossed: Dataset) -> None:
    """Proves that there are sixteen slices, and that none of them begins after an impression in it."""
    impressions = shown(tossed)
    counted = PointInTimeFeatures.by_slices(tossed, impressions)
    starts = np.unique(impressions.times[np.linspace(0, COUNT, 16, endpoint=False).astype(np.int64)])
    for place in range(0, COUNT, 131):
        start = int(starts[starts <= impressions.times[place]].max())
        click_rates, user = click_rates_before(tossed, start), impressions.user_rows[place]
        np.testing.assert_array_equal(
            counted.items[place, len(STATISTICS) :], click_rates.items[impressions.item_rows[place]]
        )
        np.testing.assert_array_equal(counted.users[place], click_rates.users[user] if user >= 0 else np.zeros(3))
    assert len(starts) == 16


def test_a_leak_would_be_found(tossed: Dataset) -> None:
    """Proves that earlier counts do not predict coins, while counts that include the impression itself do."""
    impressions, labels = shown(tossed), shown(tossed).targets[:, 0]
    honest = PointInTimeFeatures.by_slices(tossed, impressions)
    leaking = PointInTimeFeatures.at(tossed, impressions, impressions.times[-1] + np.ones(COUNT, dtype=np.int64))
    click = len(STATISTICS) + 1
    assert abs(correlation(honest.items[:, click], labels)) < 0.04
    assert abs(correlation(honest.users[:, 1], labels)) < 0.04
    assert correlation(leaking.items[:, click], labels) > 0.08
    assert correlation(leaking.users[:, 1], labels) > 0.06


def test_without_times_nothing_is_counted(tossed: Dataset) -> None:
    """Proves that where no impression is before another, nor an interaction before them, all counts are those of
    nothing."""
    timeless = replace(tossed, impressions=replace(shown(tossed), times=np.zeros(COUNT, dtype=np.int64)))
    counted = PointInTimeFeatures.by_slices(timeless, shown(timeless))
    assert not counted.users.any()
    assert len(np.unique(counted.items, axis=0)) == 1
