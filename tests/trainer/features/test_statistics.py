"""Counts: by hand, against dense matrices, and blind to later events."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from shortlist.bundle.tables import ItemTables
from trainer.data import Dataset
from trainer.data.dataset import Histories
from trainer.features.statistics import (
    interaction_matrix,
    item_statistics,
    item_tables,
    popularity_order,
    statistics_with_unseen,
)
from trainer.recipe import StatisticsConfig

Make = Callable[[Sequence[tuple[str, str, int, float]]], Dataset]
# a: x y z, with y disliked; b: y x.
ROWS = [("a", "x", 1, 5.0), ("a", "y", 2, 1.0), ("a", "z", 3, 5.0), ("b", "y", 4, 4.0), ("b", "x", 5, 5.0)]
X, Y, Z = range(3)


def changed_after(data: Dataset, end: int) -> Dataset:
    """The data with everything that can be different at or after an event different."""
    late = np.arange(len(data.times)) >= end
    random = np.random.default_rng(1)
    altered = replace(
        data,
        item_rows=np.where(late, random.integers(len(data.item_ids), size=len(late)), data.item_rows),
        values=np.where(late, np.float32(1000.0), data.values),
        likes=np.where(late, ~data.likes, data.likes),
        times=np.where(late, data.times + 10**15, data.times),
        events=np.where(late, data.events + 1, data.events),
    )
    return replace(altered, histories=Histories.of(altered, data.user_events))


def arrays(tables: ItemTables) -> dict[str, NDArray[np.generic]]:
    """Everything that was counted."""
    cooccurrence, slim = tables.item_item.cooccurrence, tables.item_item.slim
    return {
        "features": tables.features,
        "unseen": np.zeros(0) if tables.unseen is None else tables.unseen,
        "popular": tables.popular,
        "co-occurrence offsets": cooccurrence.offsets,
        "co-occurrence rows": cooccurrence.rows,
        "co-occurrence weights": cooccurrence.weights,
        "SLIM offsets": slim.offsets,
        "SLIM rows": slim.rows,
        "SLIM weights": slim.weights,
        "scale": np.array([tables.value_mean, tables.value_std]),
    }


def test_an_unseen_item_has_the_statistics_of_an_item_without_events(planted: Dataset) -> None:
    """Proves it of items whose events are all later, for each statistic; one with events has others."""
    end = len(planted.times) // 20
    statistics, unseen = statistics_with_unseen(planted, end)
    without = np.bincount(planted.item_rows[:end], minlength=len(planted.item_ids)) == 0
    assert 0 < without.sum() < len(without)
    np.testing.assert_allclose(statistics[without], np.tile(unseen, (without.sum(), 1)), atol=1e-6)
    assert not np.isclose(statistics[~without], unseen).all(axis=1).any()


@pytest.mark.parametrize("end", [1, 600, 1512])
def test_nothing_counted_knows_of_an_event_at_or_after_the_end(planted: Dataset, end: int) -> None:
    """Proves that there is no leak: with every later event altered, each table is the same to the last bit."""
    vectors = np.zeros((len(planted.item_ids), 2), dtype=np.float32)
    before = arrays(item_tables(planted, end, StatisticsConfig(), vectors))
    after = arrays(item_tables(changed_after(planted, end), end, StatisticsConfig(), vectors))
    for name, array in before.items():
        np.testing.assert_array_equal(array, after[name], err_msg=name)


def test_an_altered_event_before_the_end_is_seen(planted: Dataset) -> None:
    """Proves that the test above can fail: the same alteration one event earlier changes every table."""
    vectors = np.zeros((len(planted.item_ids), 2), dtype=np.float32)
    before = arrays(item_tables(planted, 600, StatisticsConfig(), vectors))
    after = arrays(item_tables(changed_after(planted, 500), 600, StatisticsConfig(), vectors))
    assert not any(np.array_equal(array, after[name]) for name, array in before.items())


def test_who_did_anything_with_what_and_who_liked_it(dataset_of: Make) -> None:
    """Proves the matrices by hand: of part of the events, and ones however often something was done."""
    data = dataset_of([*ROWS, ("b", "x", 6, 5.0)])
    assert interaction_matrix(data, 6).toarray().tolist() == [[1, 1, 1], [1, 1, 0]]
    assert interaction_matrix(data, 6, liked_only=True).toarray().tolist() == [[1, 0, 1], [1, 1, 0]]
    assert interaction_matrix(data, 4, 2).toarray().tolist() == [[0, 0, 1], [0, 1, 0]]


def test_item_statistics_rise_with_what_they_count(dataset_of: Make) -> None:
    """Proves that the columns are standardised, in the order that their names say, and which item is unseen."""
    found = item_statistics(dataset_of(ROWS), 4)
    count, likes, mean_value, age, unseen = found.T
    np.testing.assert_allclose(found[:, :4].mean(axis=0), 0, atol=1e-6)
    assert count[Y] > count[X] == count[Z]
    assert likes.tolist() == [likes[X]] * 3
    assert mean_value[Y] < mean_value[X] == mean_value[Z]
    assert age[X] > age[Y] > age[Z]
    assert unseen.tolist() == [0, 0, 0]
    assert item_statistics(dataset_of(ROWS), 2)[:, 4].tolist() == [0, 0, 1]


def test_popularity_goes_by_likes_then_events_then_row(dataset_of: Make) -> None:
    """Proves the order of the fallback: x has two likes; y and z have one each, and y more events."""
    assert popularity_order(dataset_of(ROWS), 5).tolist() == [X, Y, Z]
    assert popularity_order(dataset_of(ROWS), 3).tolist() == [X, Z, Y]
