"""Training sequences for the encoder: windows of each user's events, batched by length."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.data import Dataset


@dataclass(frozen=True, kw_only=True, eq=False)
class Window:
    """Events of one user to learn from: each but the first is predicted from those before it.

    ``events`` ``[length + 1]`` are positions in the data set, oldest first; ``before`` are the user's earlier ones,
    which are seen and not looked at; the first ``known`` predictions belong to the window before this one.
    """

    events: NDArray[np.int64]
    before: NDArray[np.int64]
    known: int


@dataclass(frozen=True, kw_only=True, eq=False)
class WindowBatch:
    """Windows as arrays, padded on the left; B windows, L places, P predictions.

    ``inputs`` ``[B, L]`` and ``targets`` ``[P]`` are positions in the data set, ``mask`` ``[B, L]`` is 0 for padding,
    ``predicted`` ``[B, L]`` marks the places that ``targets`` lists in order.
    """

    inputs: NDArray[np.int64]
    mask: NDArray[np.float32]
    predicted: NDArray[np.bool_]
    targets: NDArray[np.int64]
    windows: tuple[Window, ...]


def windows_of(dataset: Dataset, end: int, length: int) -> list[Window]:
    """Every prediction of the events before ``end`` exactly once, in windows of at most ``length`` places."""
    windows = []
    for user in range(len(dataset.user_ids)):
        events = dataset.rows_of_user(user)
        events = events[: np.searchsorted(events, end)]
        for start in range(0, len(events) - 1, length):
            # The last window reaches back, so that it has as much context as the others.
            first = max(0, min(start, len(events) - 1 - length))
            part = events[first : first + length + 1]
            windows.append(Window(events=part, before=events[:first], known=start - first))
    return windows


def batch_by_length(windows: list[Window], size: int, generator: np.random.Generator) -> list[tuple[Window, ...]]:
    """Batches of windows of like length, so that little padding is computed, in random order."""
    tie = generator.random(len(windows))
    order = np.lexsort((tie, np.array([len(window.events) for window in windows])))
    batches = [tuple(windows[place] for place in order[start : start + size]) for start in range(0, len(order), size)]
    return [batches[place] for place in generator.permutation(len(batches))]


def collate(windows: tuple[Window, ...]) -> WindowBatch:
    """Windows → arrays."""
    length = max(len(window.events) for window in windows) - 1
    inputs = np.zeros((len(windows), length), dtype=np.int64)
    mask = np.zeros((len(windows), length), dtype=np.float32)
    predicted = np.zeros((len(windows), length), dtype=np.bool_)
    for line, window in enumerate(windows):
        size = len(window.events) - 1
        inputs[line, -size:] = window.events[:-1]
        mask[line, -size:] = 1.0
        predicted[line, length - size + window.known :] = True
    targets = np.concatenate([window.events[1 + window.known :] for window in windows])
    return WindowBatch(inputs=inputs, mask=mask, predicted=predicted, targets=targets, windows=windows)


def seen_before(dataset: Dataset, batch: WindowBatch) -> NDArray[np.bool_]:
    """What each prediction's user already has, ``[P, items]``."""
    parts = []
    for window in batch.windows:
        seen = np.zeros((len(window.events) - 1, len(dataset.item_ids)), dtype=np.bool_)
        seen[np.arange(len(seen)), dataset.item_rows[window.events[:-1]]] = True
        np.logical_or.accumulate(seen, axis=0, out=seen)
        seen[:, dataset.item_rows[window.before]] = True
        parts.append(seen[window.known :])
    return np.concatenate(parts)
