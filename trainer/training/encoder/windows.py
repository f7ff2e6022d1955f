"""Training sequences for the encoder: windows of each user's events, batched by length."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.data import Dataset


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingWindows:
    """W parts of users' histories. In each, every event but the first is predicted from those before it.

    All ``[W]``: ``starts`` are positions in the data set's histories. ``lengths`` are the numbers of predicted events,
    of which the first ``known`` belong to the window before. ``befores`` are the starts of the users' histories: events
    between there and the window count as seen, but are no inputs.
    """

    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    known: NDArray[np.int64]
    befores: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts)

    def at(self, places: NDArray[np.int64]) -> "TrainingWindows":
        """The windows at some places."""
        return TrainingWindows(
            starts=self.starts[places],
            lengths=self.lengths[places],
            known=self.known[places],
            befores=self.befores[places],
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class WindowBatch:
    """Training windows as arrays, padded on the left; B windows, L places, P predictions.

    ``inputs`` ``[B, L]`` and ``targets`` ``[P]`` are positions in the data set's histories. ``mask`` ``[B, L]`` is 0
    for padding. ``predicted`` ``[B, L]`` marks the places that ``targets`` lists in order.
    """

    inputs: NDArray[np.int64]
    mask: NDArray[np.float32]
    predicted: NDArray[np.bool_]
    targets: NDArray[np.int64]
    windows: TrainingWindows


def windows_of(dataset: Dataset, end: int, length: int) -> TrainingWindows:
    """Every prediction of the events before ``end`` exactly once, in windows of at most ``length`` places."""
    events = np.bincount(dataset.user_rows[:end], minlength=len(dataset.user_ids))
    predictions = np.maximum(events - 1, 0)
    counts = -(-predictions // length)
    user = np.repeat(np.arange(len(counts)), counts)
    start = (np.arange(len(user)) - np.repeat(np.cumsum(counts) - counts, counts)) * length
    # The last window reaches back, so that it has as much context as the others.
    first = np.maximum(0, np.minimum(start, predictions[user] - length))
    befores = dataset.user_offsets[user]
    return TrainingWindows(
        starts=befores + first,
        lengths=np.minimum(length, predictions[user] - first),
        known=start - first,
        befores=befores,
    )


def batch_by_length(windows: TrainingWindows, size: int, generator: np.random.Generator) -> list[NDArray[np.int64]]:
    """Places of windows in batches of similar length, to compute little padding; the batches are in random order."""
    tie = generator.random(len(windows))
    order = np.lexsort((tie, windows.lengths))
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    return [batches[place] for place in generator.permutation(len(batches))]


def collate(windows: TrainingWindows) -> WindowBatch:
    """TrainingWindows → arrays."""
    length = int(windows.lengths.max())
    place_BL = np.arange(length) - (length - windows.lengths)[:, None]
    inputs = np.where(place_BL >= 0, windows.starts[:, None] + place_BL, 0)
    predicted = place_BL >= windows.known[:, None]
    return WindowBatch(
        inputs=inputs,
        mask=(place_BL >= 0).astype(np.float32),
        predicted=predicted,
        targets=inputs[predicted] + 1,
        windows=windows,
    )


def seen_before(dataset: Dataset, batch: WindowBatch) -> NDArray[np.bool_]:
    """The items that each prediction's user already has, ``[P, items]``."""
    rows, windows = dataset.histories.item_rows, batch.windows
    seen = np.empty((len(batch.targets), len(dataset.item_ids)), dtype=np.bool_)
    end = 0
    for window, count in enumerate(windows.lengths - windows.known):
        start = windows.starts[window] + windows.known[window]
        # The first of the window's predictions at which an item is seen; for one seen twice, the last write wins.
        first = np.full(seen.shape[1], count, dtype=np.int32)
        first[rows[start : start + count][::-1]] = np.arange(count)[::-1]
        first[rows[windows.befores[window] : start]] = 0
        np.less_equal(first, np.arange(count, dtype=np.int32)[:, None], out=seen[end : end + count])
        end += count
    return seen
