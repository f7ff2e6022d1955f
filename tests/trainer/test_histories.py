"""Histories as spans: the same as one by one, and never what they must not have."""

from collections.abc import Callable

import numpy as np
import pytest

from shortlist.inference.model_inputs import latest_first
from trainer.data import Dataset
from trainer.histories import Spans, histories_before, own_places


@pytest.fixture
def walked(dataset_of: Callable[..., Dataset]) -> Dataset:
    """Interactions of twelve users, several of one second, repeats among them."""
    random = np.random.default_rng(2)
    return dataset_of(
        [
            (
                f"u{random.integers(12):02}",
                f"i{random.integers(6)}",
                int(random.integers(40)),
                float(random.integers(6)),
            )
            for _ in range(300)
        ]
    )


def test_spans_are_the_histories_one_by_one(walked: Dataset) -> None:
    """Proves rows, values and mask of all lengths, and of a history that is empty."""
    events = np.arange(len(walked.times))
    spans, expected = Spans.before(walked, events), histories_before(walked, events)
    for length in (1, 5, 100):
        found, wanted = spans.latest_first(events, length), latest_first(expected, length)
        np.testing.assert_array_equal(found.rows, wanted.rows)
        np.testing.assert_array_equal(found.values, wanted.values)
        np.testing.assert_array_equal(found.mask, wanted.mask)
    assert [one.rows.tolist() for one in spans.listed(events)] == [one.rows.tolist() for one in expected]


def test_before_a_time_is_strictly_before_it(walked: Dataset) -> None:
    """Proves that what is of the same second is not known yet, and that a stranger has done nothing."""
    users, times = np.array([3, 3, 7, -1]), np.array([20, 41, 0, 20])
    spans = Spans.before_times(walked, users, times)
    for place, (user, time) in enumerate(zip(users, times, strict=True)):
        expected = walked.item_rows[(walked.user_rows == user) & (walked.times < time)]
        assert spans.listed(np.array([place]))[0].rows.tolist() == expected.tolist()
    assert (walked.times[walked.user_rows == 3] == 20).any() or (walked.times[walked.user_rows == 3] < 20).any()


def test_what_came_of_an_impression_is_left_out(walked: Dataset) -> None:
    """Proves that a whole history lacks exactly the one interaction, in both of its forms."""
    users = np.array([4, 4, -1])
    own = walked.user_offsets[4] + 2
    spans = Spans.whole(walked, users, np.array([own, -1, -1]))
    listed = spans.listed(np.arange(3))
    everything = walked.histories.item_rows[walked.user_offsets[4] : walked.user_offsets[5]].tolist()
    assert listed[0].rows.tolist() == everything[:2] + everything[3:]
    assert listed[1].rows.tolist() == everything
    assert len(listed[2]) == 0
    found = spans.latest_first(np.array([0, 1, 2]), 100)
    np.testing.assert_array_equal(found.rows, latest_first(listed, 100).rows)
    np.testing.assert_array_equal(found.mask, latest_first(listed, 100).mask)


def test_each_impression_has_an_interaction_of_its_own(walked: Dataset) -> None:
    """Proves that pairs are matched one to one, as often as there are interactions of them."""
    pairs = np.stack([np.repeat(np.arange(12), 12), np.tile(np.repeat(np.arange(6), 2), 12)], axis=1)
    found = own_places(walked, pairs[:, 0], pairs[:, 1])
    taken = found[found >= 0]
    assert len(np.unique(taken)) == len(taken)
    owners = np.repeat(np.arange(12), np.diff(walked.user_offsets))
    np.testing.assert_array_equal(owners[taken], pairs[found >= 0, 0])
    np.testing.assert_array_equal(walked.histories.item_rows[taken], pairs[found >= 0, 1])
    for (user, item), first in zip(pairs[::2], found[::2], strict=True):
        times = ((owners == user) & (walked.histories.item_rows == item)).sum()
        assert (first >= 0) == (times > 0)
