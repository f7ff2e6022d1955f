"""Training windows: their predictions, and the inputs of each."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from trainer.data import Dataset
from trainer.training.encoder.windows import (
    TrainingWindows,
    WindowBatch,
    batch_by_length,
    batch_count,
    collate,
    events_of_a_step,
    seen_before,
    windows_of,
)

Make = Callable[[Sequence[tuple[str, str, int, float]]], Dataset]
# User a sees items 0 1 0 2 3, user b items 3 2; they take turns, which a history leaves no trace of.
ROWS = [*(("a", f"i{item}", 2 * place, 5.0) for place, item in enumerate([0, 1, 0, 2, 3])), ("b", "i3", 1, 5.0)]
ROWS.append(("b", "i2", 10, 5.0))


def batched(data: Dataset, windows: TrainingWindows, events: int) -> list[WindowBatch]:
    """The windows as the training reads them."""
    return [collate(data, windows.at(places)) for places in batch_by_length(windows, events, np.random.default_rng(0))]


@pytest.fixture
def baskets(dataset_of: Make) -> Dataset:
    """Baskets of one to nine items, each of one user and one time."""
    random = np.random.default_rng(5)
    sizes = random.integers(1, 10, size=(30, 6))
    return dataset_of(
        [
            (f"u{user:02}", f"i{item:02}", time, 5.0)
            for time in range(6)
            for user in range(30)
            for item in random.choice(40, sizes[user, time], replace=False)
        ]
    )


@pytest.mark.parametrize("length", [1, 3, 5, 13, 50])
def test_each_event_but_a_users_first_is_predicted_once(planted: Dataset, length: int) -> None:
    """Proves it for windows that divide a history and that do not, and for an end in the middle of histories."""
    end = 1000
    windows = windows_of(planted, end, length)
    predicted = np.concatenate([planted.user_events[batch.targets] for batch in batched(planted, windows, 100)])
    assert np.sort(predicted).tolist() == np.flatnonzero(planted.position[:end] >= 1).tolist()
    assert windows.lengths.max() <= length


def test_each_prediction_looks_at_the_same_users_events_just_before(planted: Dataset) -> None:
    """Proves that a place holds the event before its target, and that a window is one user's, without gaps."""
    batches = batched(planted, windows_of(planted, 1000, 5), 100)
    for batch in batches:
        users = planted.user_rows[planted.user_events[batch.inputs]]
        assert (users[batch.mask > 0] == np.broadcast_to(users[:, -1:], users.shape)[batch.mask > 0]).all()
        assert (batch.inputs[batch.lines, batch.sources] + 1 == batch.targets).all()
        assert (np.diff(batch.inputs, axis=1)[batch.mask[:, 1:] * batch.mask[:, :-1] > 0] == 1).all()


@pytest.mark.parametrize("length", [1, 4, 12, 50])
@pytest.mark.parametrize("end", [600, 10**6])
def test_no_event_is_predicted_from_its_own_basket(baskets: Dataset, length: int, end: int) -> None:
    """Proves that each event is predicted once, from the last event at an earlier time, and with nothing later seen."""
    end = min(end, len(baskets.times))
    windows = windows_of(baskets, end, length)
    predicted = []
    for batch in batched(baskets, windows, 100):
        targets = baskets.user_events[batch.targets]
        sources = batch.inputs[batch.lines, batch.sources]
        assert (batch.mask[batch.lines, batch.sources] > 0).all()
        assert (sources + 1 == baskets.user_offsets[baskets.user_rows[targets]] + baskets.position[targets]).all()
        seen = seen_before(baskets, batch)
        for line, target, source in zip(seen, targets, baskets.user_events[sources], strict=True):
            own = np.flatnonzero(baskets.user_rows == baskets.user_rows[target])
            earlier = own[baskets.times[own] < baskets.times[target]]
            assert source in earlier
            assert baskets.times[source] == baskets.times[earlier].max()
            assert np.flatnonzero(line).tolist() == sorted(set(baskets.item_rows[earlier].tolist()))
        predicted.append(targets)
    assert np.sort(np.concatenate(predicted)).tolist() == np.flatnonzero(baskets.position[:end] >= 1).tolist()
    assert windows.lengths.max() <= length


def test_windows_of_like_length_share_a_batch() -> None:
    """Proves that hardly a place is padding when lengths differ a lot, and that no window is lost or there twice."""
    lengths, nothing = np.random.default_rng(1).integers(1, 129, size=500), np.zeros(500, dtype=np.int64)
    windows = TrainingWindows(
        starts=nothing,
        lengths=lengths,
        known=nothing,
        first_targets=nothing,
        end_targets=nothing,
        befores=nothing,
    )
    batches = batch_by_length(windows, 1000, np.random.default_rng(0))
    assert np.sort(np.concatenate(batches)).tolist() == list(range(500))
    places = sum(int(lengths[batch].max()) * len(batch) for batch in batches)
    assert 1 - lengths.sum() / places < 0.1
    assert [lengths[batch].max() for batch in batches] != sorted(lengths[batch].max() for batch in batches)
    assert all(abs(int(lengths[batch].sum()) - 1000) <= lengths.max() for batch in batches)
    assert batch_count(windows, 1000) == len(batches)


@pytest.mark.parametrize("events", [1, 7, 10**6])
def test_a_batch_of_any_size_has_a_window_and_none_is_lost(events: int) -> None:
    """Proves it for batches that are smaller than a window and larger than all of them, and for no window at all."""
    lengths = np.array([5, 1, 9, 5])
    windows = TrainingWindows(
        starts=lengths, lengths=lengths, known=lengths, first_targets=lengths, end_targets=lengths, befores=lengths
    )
    batches = batch_by_length(windows, events, np.random.default_rng(0))
    assert sorted(place for batch in batches for place in batch) == [0, 1, 2, 3]
    assert batch_count(windows, events) == len(batches) == {1: 4, 7: 3, 10**6: 1}[events]
    assert batch_by_length(windows.at(lengths[:0]), events, np.random.default_rng(0)) == []
    assert batch_count(windows.at(lengths[:0]), events) == 0


@pytest.mark.parametrize(("events", "expected"), [(10**6, 1500), (50_000, 1000), (1000, 100)])
def test_small_data_has_smaller_steps(events: int, expected: int) -> None:
    """Proves that an epoch of little data has enough steps to learn from, and that a recipe may say otherwise."""
    length = np.array([events])
    windows = TrainingWindows(
        starts=length, lengths=length, known=length, first_targets=length, end_targets=length, befores=length
    )
    assert events_of_a_step(windows, 0) == expected
    assert events_of_a_step(windows, 7) == 7


def test_the_last_window_reaches_back(dataset_of: Make) -> None:
    """Proves that the rest of a history keeps a whole window's context, and that it repeats no prediction."""
    windows = windows_of(dataset_of(ROWS), 6, 3)
    assert windows.starts.tolist() == [0, 1]
    assert windows.lengths.tolist() == [3, 3]
    assert windows.known.tolist() == [0, 2]
    assert windows.first_targets.tolist() == [1, 4]
    assert windows.end_targets.tolist() == [4, 5]
    assert windows.befores.tolist() == [0, 0]


def test_batches_are_padded_on_the_left(dataset_of: Make) -> None:
    """Proves that the latest event is in the last column, and that padding is masked and predicts nothing."""
    data = dataset_of(ROWS)
    batch = collate(data, windows_of(data, 7, 4))
    assert batch.inputs.tolist() == [[0, 1, 2, 3], [0, 0, 0, 5]]
    assert batch.mask.tolist() == [[1, 1, 1, 1], [0, 0, 0, 1]]
    assert batch.lines.tolist() == [0, 0, 0, 0, 1]
    assert batch.sources.tolist() == [0, 1, 2, 3, 3]
    assert batch.targets.tolist() == [1, 2, 3, 4, 6]


def test_the_seen_is_all_that_came_before_the_prediction(dataset_of: Make) -> None:
    """Proves it by hand: events before the window count, and the target only after it has happened."""
    data = dataset_of(ROWS)
    whole = collate(data, windows_of(data, 7, 4))
    expected = [[0], [0, 1], [0, 1], [0, 1, 2], [3]]
    assert [np.flatnonzero(line).tolist() for line in seen_before(data, whole)] == expected
    last = collate(data, windows_of(data, 6, 3).at(np.array([1])))
    assert [np.flatnonzero(line).tolist() for line in seen_before(data, last)] == [[0, 1, 2]]


def test_thousands_of_events_at_one_time_are_predicted_once(dataset_of: Make) -> None:
    """Proves that the windows of a guest with thousands of events at each of two times predict the later ones once."""
    rows = [("guest", f"i{item:05}", 1 + item // 5000, 5.0) for item in range(10_000)]
    data = dataset_of([*rows, ("b", "x", 0, 5.0)])
    windows = windows_of(data, len(data.times), 50)
    assert len(windows) == 1
    assert int((windows.end_targets - windows.first_targets).sum()) == 5000
