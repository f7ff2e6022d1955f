"""Histories as slices: the events of a user before an event or a time, and nothing else."""

from collections.abc import Callable

import numpy as np
import pytest

from shortlist.bundle.history import History
from shortlist.inference.model_inputs import latest_first
from tests.support.events import events_of
from trainer.data import Dataset
from trainer.data.history_slices import HistorySlices
from trainer.data.time_texts import SECOND


@pytest.fixture
def walked(dataset_of: Callable[..., Dataset]) -> Dataset:
    """Interactions of twelve users, several of one time, repeats among them."""
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


def history_before(dataset: Dataset, event: int) -> History:
    """The user's events at earlier times, found one by one."""
    own = events_of(dataset, int(dataset.user_rows[event]))
    earlier = [one for one in own if dataset.times[one] < dataset.times[event]]
    return History(
        rows=dataset.item_rows[earlier].astype(np.int32), values=dataset.values[earlier], events=dataset.events[earlier]
    )


def test_a_slice_is_the_history_before_the_event(walked: Dataset) -> None:
    """Proves rows, values and mask of all lengths, and that an event of the same user and time is in no history."""
    events = np.arange(len(walked.times))
    assert walked.tied > 50
    slices, expected = (
        HistorySlices.before(walked, events),
        [history_before(walked, event) for event in events.tolist()],
    )
    for length in (1, 5, 100):
        found, wanted = slices.latest_first(length), latest_first(expected, length)
        np.testing.assert_array_equal(found.rows, wanted.rows)
        np.testing.assert_array_equal(found.values, wanted.values)
        np.testing.assert_array_equal(found.mask, wanted.mask)
    for one, wanted_one in zip(slices.listed(), expected, strict=True):
        np.testing.assert_array_equal(one.rows, wanted_one.rows)
        np.testing.assert_array_equal(one.values, wanted_one.values)
        np.testing.assert_array_equal(one.events, wanted_one.events)


def test_before_a_time_is_strictly_before_it(walked: Dataset) -> None:
    """Proves that events of the same time are not known yet, and that an unknown user has no history."""
    users, times = np.array([3, 3, 7, -1]), np.array([20, 41, 0, 20]) * SECOND
    listed = HistorySlices.before_times(walked, users, times).listed()
    for place, (user, time) in enumerate(zip(users, times, strict=True)):
        expected = walked.item_rows[(walked.user_rows == user) & (walked.times < time)]
        assert listed[place].rows.tolist() == expected.tolist()
    of_user = walked.times[walked.user_rows == 3]
    assert (of_user == times[0]).any() or (of_user < times[0]).any()


def test_a_whole_history_has_each_item_once_and_not_what_came_of_the_impression(walked: Dataset) -> None:
    """Proves that the item of an impression is left out, however often the user had it, and that all others are there.

    An unknown user has none. Both forms of a history agree.
    """
    for user in range(12):
        items = np.unique(walked.item_rows[walked.user_rows == user])
        own = np.array([*items, -1, 5])
        slices = HistorySlices.whole(walked, np.array([user] * (len(own) - 1) + [-1]), own)
        listed = slices.listed()
        assert [one.rows.tolist() for one in listed[:-2]] == [[one for one in items if one != item] for item in items]
        assert listed[-2].rows.tolist() == items.tolist()
        assert len(listed[-1]) == 0
        found, wanted = slices.latest_first(100), latest_first(listed, 100)
        np.testing.assert_array_equal(found.rows, wanted.rows)
        np.testing.assert_array_equal(found.mask, wanted.mask)
