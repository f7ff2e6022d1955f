"""Co-occurrence counts: by hand, and no more neighbours than asked for."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from shortlist.bundle.item_item import FOLLOWS, LIKED_AFTER
from trainer.data import Dataset
from trainer.features.cooccurrence import cooccurrence_counts, cooccurrence_table
from trainer.recipe import StatisticsConfig

Make = Callable[[Sequence[tuple[str, str, int, float]]], Dataset]
# a: x y z, with y disliked; b: y x.
ROWS = [("a", "x", 1, 5.0), ("a", "y", 2, 1.0), ("a", "z", 3, 5.0), ("b", "y", 4, 4.0), ("b", "x", 5, 5.0)]
X, Y, Z = range(3)


def test_follow_counts_decay_with_the_steps_between(dataset_of: Make) -> None:
    """Proves the counts by hand, within a user and never from one user to the next."""
    data = dataset_of(ROWS)
    counted = cooccurrence_counts(data, 5, StatisticsConfig(decay=0.5), liked_only=False).toarray()
    by_hand = np.zeros((3, 3))
    by_hand[X, Y] = by_hand[Y, Z] = by_hand[Y, X] = 1.0
    by_hand[X, Z] = 0.5
    np.testing.assert_allclose(counted, by_hand)
    narrow = cooccurrence_counts(data, 5, StatisticsConfig(decay=0.5, window=1), liked_only=True).toarray()
    by_hand[X, Y] = by_hand[X, Z] = 0.0
    np.testing.assert_allclose(narrow, by_hand)


def test_events_of_one_user_and_time_do_not_follow_each_other(dataset_of: Make) -> None:
    """Proves it by hand: x and y of one time both come before z, and neither after the other."""
    data = dataset_of([("a", "x", 1, 5.0), ("a", "y", 1, 5.0), ("a", "z", 3, 5.0), ("b", "y", 4, 4.0)])
    counted = cooccurrence_counts(data, 4, StatisticsConfig(decay=1), liked_only=False).toarray()
    assert {tuple(pair) for pair in np.argwhere(counted).tolist()} == {(X, Z), (Y, Z)}


def test_a_transition_is_a_probability_drawn_to_zero_by_ten(dataset_of: Make) -> None:
    """Proves the weights of each pair by hand, the strongest neighbour first."""
    pairs = cooccurrence_table(dataset_of(ROWS), 5, StatisticsConfig(decay=0.5))
    assert pairs.offsets.tolist() == [0, 2, 4, 4]
    assert pairs.rows.tolist() == [Y, Z, X, Z]
    np.testing.assert_allclose(pairs.weights[:, FOLLOWS], [1 / 11.5, 0.5 / 11.5, 1 / 12, 1 / 12], rtol=1e-6)
    np.testing.assert_allclose(pairs.weights[:, LIKED_AFTER], [0, 0.5 / 10.5, 1 / 12, 1 / 12], rtol=1e-6)


def test_followers_are_counted_over_the_latest_events_alone(dataset_of: Make) -> None:
    """Proves that the number of events bounds the counts: of the last two, only y before x is left."""
    pairs = cooccurrence_table(dataset_of(ROWS), 5, StatisticsConfig(events=2))
    assert pairs.offsets.tolist() == [0, 0, 1, 1]
    assert pairs.rows.tolist() == [X]


@pytest.mark.parametrize("keep", [1, 5])
def test_each_item_keeps_its_strongest_neighbours_only(planted: Dataset, keep: int) -> None:
    """Proves the cap, and that no dropped entry is stronger than a kept one."""
    capped = cooccurrence_table(planted, 1500, StatisticsConfig(neighbours=keep))
    whole = cooccurrence_table(planted, 1500, StatisticsConfig(neighbours=1000))
    assert np.diff(capped.offsets).tolist() == np.minimum(np.diff(whole.offsets), keep).tolist()
    for item in range(len(planted.item_ids)):
        kept = capped.weights[capped.offsets[item] : capped.offsets[item + 1], FOLLOWS]
        every = whole.weights[whole.offsets[item] : whole.offsets[item + 1], FOLLOWS]
        np.testing.assert_array_equal(kept, np.sort(every)[::-1][:keep])
