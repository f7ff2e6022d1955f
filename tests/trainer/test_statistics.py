"""What is counted: by hand, against dense matrices, and blind to what comes later."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from shortlist.bundle.tables import ItemTables
from shortlist.bundle.transitions import COSINE, FOLLOWS, LIKED_AFTER
from trainer.data import Dataset
from trainer.data.dataset import Histories
from trainer.recipe import Statistics
from trainer.statistics import follow_counts, item_statistics, item_tables, popularity_order, transition_table

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
        times=np.where(late, data.times + 1_000_000, data.times),
        events=np.where(late, data.events + 1, data.events),
    )
    return replace(altered, histories=Histories.of(altered, data.user_events))


def arrays(tables: ItemTables) -> dict[str, NDArray[np.generic]]:
    """Everything that was counted."""
    table = tables.transitions
    return {
        "features": tables.features,
        "popular": tables.popular,
        "offsets": table.offsets,
        "rows": table.rows,
        "weights": table.weights,
        "scale": np.array([tables.value_mean, tables.value_std]),
    }


@pytest.mark.parametrize("end", [1, 600, 1512])
def test_nothing_counted_knows_of_an_event_at_or_after_the_end(planted: Dataset, end: int) -> None:
    """Proves that there is no leak: with every later event altered, each table is the same to the last bit."""
    vectors = np.zeros((len(planted.item_ids), 2), dtype=np.float32)
    before = arrays(item_tables(planted, end, Statistics(), vectors))
    after = arrays(item_tables(changed_after(planted, end), end, Statistics(), vectors))
    for name, array in before.items():
        np.testing.assert_array_equal(array, after[name], err_msg=name)


def test_an_altered_event_before_the_end_is_seen(planted: Dataset) -> None:
    """Proves that the test above can fail: the same alteration one event earlier changes every table."""
    vectors = np.zeros((len(planted.item_ids), 2), dtype=np.float32)
    before = arrays(item_tables(planted, 600, Statistics(), vectors))
    after = arrays(item_tables(changed_after(planted, 500), 600, Statistics(), vectors))
    assert not any(np.array_equal(array, after[name]) for name, array in before.items())


def test_follow_counts_decay_with_the_steps_between(dataset_of: Make) -> None:
    """Proves the counts by hand, within a user and never from one user to the next."""
    data = dataset_of(ROWS)
    counted = follow_counts(data, 5, Statistics(decay=0.5), liked_only=False).toarray()
    by_hand = np.zeros((3, 3))
    by_hand[X, Y] = by_hand[Y, Z] = by_hand[Y, X] = 1.0
    by_hand[X, Z] = 0.5
    np.testing.assert_allclose(counted, by_hand)
    narrow = follow_counts(data, 5, Statistics(decay=0.5, window=1), liked_only=True).toarray()
    by_hand[X, Y] = by_hand[X, Z] = 0.0
    np.testing.assert_allclose(narrow, by_hand)


def test_a_transition_is_a_probability_drawn_to_zero_by_ten(dataset_of: Make) -> None:
    """Proves the three weights of each pair by hand, the strongest neighbour first."""
    table = transition_table(dataset_of(ROWS), 5, Statistics(decay=0.5))
    assert table.offsets.tolist() == [0, 2, 4, 4]
    assert table.rows.tolist() == [Y, Z, X, Z]
    np.testing.assert_allclose(table.weights[:, FOLLOWS], [1 / 11.5, 0.5 / 11.5, 1 / 12, 1 / 12], rtol=1e-6)
    np.testing.assert_allclose(table.weights[:, LIKED_AFTER], [0, 0.5 / 10.5, 1 / 12, 1 / 12], rtol=1e-6)
    np.testing.assert_allclose(table.weights[:, COSINE], [1, 2**-0.5, 1, 2**-0.5], rtol=1e-6)


def test_transitions_are_counted_over_the_latest_events_alone(dataset_of: Make) -> None:
    """Proves that the number of events bounds what is counted: of the last two, only y before x is left."""
    table = transition_table(dataset_of(ROWS), 5, Statistics(events=2))
    assert table.offsets.tolist() == [0, 0, 1, 1]
    assert table.rows.tolist() == [X]
    np.testing.assert_allclose(table.weights[:, COSINE], [1.0], rtol=1e-6)


@pytest.mark.parametrize("keep", [1, 5])
def test_each_item_keeps_its_strongest_neighbours_only(planted: Dataset, keep: int) -> None:
    """Proves the cap, and that what is dropped is no stronger than what is kept."""
    capped = transition_table(planted, 1500, Statistics(neighbours=keep))
    whole = transition_table(planted, 1500, Statistics(neighbours=1000))
    assert np.diff(capped.offsets).tolist() == np.minimum(np.diff(whole.offsets), keep).tolist()
    for item in range(len(planted.item_ids)):
        kept = capped.weights[capped.offsets[item] : capped.offsets[item + 1], FOLLOWS]
        every = whole.weights[whole.offsets[item] : whole.offsets[item + 1], FOLLOWS]
        np.testing.assert_array_equal(kept, np.sort(every)[::-1][:keep])


def test_cosines_equal_those_of_the_dense_matrix(planted: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves the sparse computation, also over several chunks: cosine of the items' users, 0 of an item with itself."""
    monkeypatch.setattr("trainer.statistics._COSINE_CHUNK", 7)
    end = 1500
    dense = np.zeros((len(planted.user_ids), len(planted.item_ids)))
    dense[planted.user_rows[:end], planted.item_rows[:end]] = 1.0
    unit = dense / np.maximum(np.linalg.norm(dense, axis=0), 1.0)
    cosines = unit.T @ unit
    np.fill_diagonal(cosines, 0.0)
    table = transition_table(planted, end, Statistics())
    earlier = np.repeat(np.arange(len(planted.item_ids)), np.diff(table.offsets))
    np.testing.assert_allclose(table.weights[:, COSINE], cosines[earlier, table.rows], rtol=1e-5)


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
