"""Windows: what the encoder learns from, and what it may know there."""

from collections.abc import Callable, Sequence
from itertools import chain

import numpy as np
import pytest

from trainer.data import Dataset
from trainer.windows import batch_by_length, collate, seen_before, windows_of

Make = Callable[[Sequence[tuple[str, str, int, float]]], Dataset]
# User a sees items 0 1 0 2 3, user b items 3 2: events 0 to 4 and 5 to 6.
ROWS = [*(("a", f"i{item}", time, 5.0) for time, item in enumerate([0, 1, 0, 2, 3])), ("b", "i3", 9, 5.0)]
ROWS.append(("b", "i2", 10, 5.0))


@pytest.mark.parametrize("length", [1, 3, 5, 13, 50])
def test_each_event_but_a_users_first_is_predicted_once(planted: Dataset, length: int) -> None:
    """Proves it for windows that divide a history and that do not, and for an end in the middle of histories."""
    end = 1000
    windows = windows_of(planted, end, length)
    batches = batch_by_length(windows, 16, np.random.default_rng(0))
    predicted = np.sort(np.concatenate([collate(batch).targets for batch in batches]))
    assert predicted.tolist() == np.flatnonzero(planted.position[:end] >= 1).tolist()
    assert max(len(window.events) for window in windows) <= length + 1
    assert sorted(map(id, chain(*batches))) == sorted(map(id, windows))


def test_the_last_window_reaches_back(dataset_of: Make) -> None:
    """Proves that the rest of a history keeps a whole window's context, and that it repeats no prediction."""
    first, last = windows_of(dataset_of(ROWS), 5, 3)
    assert (first.events.tolist(), first.before.tolist(), first.known) == ([0, 1, 2, 3], [], 0)
    assert (last.events.tolist(), last.before.tolist(), last.known) == ([1, 2, 3, 4], [0], 2)


def test_batches_are_padded_on_the_left(dataset_of: Make) -> None:
    """Proves that the latest event is in the last column, and that padding is masked and predicts nothing."""
    long, short = windows_of(dataset_of(ROWS), 7, 4)
    batch = collate((long, short))
    assert batch.inputs.tolist() == [[0, 1, 2, 3], [0, 0, 0, 5]]
    assert batch.mask.tolist() == [[1, 1, 1, 1], [0, 0, 0, 1]]
    assert batch.predicted.tolist() == [[True] * 4, [False, False, False, True]]
    assert batch.targets.tolist() == [1, 2, 3, 4, 6]


def test_the_seen_is_all_that_came_before_the_prediction(dataset_of: Make) -> None:
    """Proves it by hand: what precedes the window counts, and the target does not until it has happened."""
    data = dataset_of(ROWS)
    whole = collate(tuple(windows_of(data, 7, 4)))
    expected = [[0], [0, 1], [0, 1], [0, 1, 2], [3]]
    assert [np.flatnonzero(line).tolist() for line in seen_before(data, whole)] == expected
    last = collate((windows_of(data, 5, 3)[1],))
    assert [np.flatnonzero(line).tolist() for line in seen_before(data, last)] == [[0, 1, 2]]
