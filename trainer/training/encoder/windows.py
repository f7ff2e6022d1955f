"""Training sequences for the encoder: windows of each user's events, batched by length."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from trainer.data import Dataset

# MovieLens-100K has 64 steps of 1,500 events. Smaller steps are slow, and larger ones too few for the default epochs.
_ENOUGH_STEPS, _LEAST_EVENTS, _MOST_EVENTS = 50, 100, 1500


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingWindows:
    """W parts of users' histories. Each event is predicted from the last one that is strictly before it in time.

    All ``[W]``: ``starts`` are positions in the data set's histories. ``lengths`` are the numbers of inputs, of which
    the first ``known`` predict in the window before. The others predict the events from ``first_targets`` to before
    ``end_targets``: each the next one, or the events of the next time. ``befores`` are the starts of the users'
    histories: events between there and the window count as seen, but are no inputs.
    """

    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    known: NDArray[np.int64]
    first_targets: NDArray[np.int64]
    end_targets: NDArray[np.int64]
    befores: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts)

    def at(self, places: NDArray[np.int64]) -> "TrainingWindows":
        """The windows at some places."""
        return TrainingWindows(
            starts=self.starts[places],
            lengths=self.lengths[places],
            known=self.known[places],
            first_targets=self.first_targets[places],
            end_targets=self.end_targets[places],
            befores=self.befores[places],
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class WindowBatch:
    """Training windows as arrays, padded on the left; B windows, L places, P predictions.

    ``inputs`` ``[B, L]`` and ``targets`` ``[P]`` are positions in the data set's histories. ``mask`` ``[B, L]`` is 0
    for padding. ``lines`` and ``sources`` ``[P]`` are the window and the place that predict each target.
    """

    inputs: NDArray[np.int64]
    mask: NDArray[np.float32]
    lines: NDArray[np.int64]
    sources: NDArray[np.int64]
    targets: NDArray[np.int64]
    windows: TrainingWindows


def windows_of(dataset: Dataset, end: int, length: int) -> TrainingWindows:
    """Every prediction of the events before ``end`` exactly once, in windows of at most ``length`` places.

    Events of one user and one time do not see each other: all are predicted from the last event before that time.
    """
    events = np.bincount(dataset.user_rows[:end], minlength=len(dataset.user_ids))
    predictions = np.maximum(events - 1, 0)
    counts = -(-predictions // length)
    user = np.repeat(np.arange(len(counts)), counts)
    start = (np.arange(len(user)) - np.repeat(np.cumsum(counts) - counts, counts)) * length
    # The last window reaches back, so that it has as much context as the others.
    first = np.maximum(0, np.minimum(start, predictions[user] - length))
    befores, lengths = dataset.user_offsets[user], np.minimum(length, predictions[user] - first)
    windows = TrainingWindows(
        starts=befores + first,
        lengths=lengths,
        known=start - first,
        first_targets=_ends_of_groups(dataset, user, befores + start, end),
        end_targets=_ends_of_groups(dataset, user, befores + first + lengths, end),
        befores=befores,
    )
    return windows.at(np.flatnonzero(windows.first_targets < windows.end_targets))


def _ends_of_groups(
    dataset: Dataset, users: NDArray[np.int64], places: NDArray[np.int64], end: int
) -> NDArray[np.int64]:
    """The place behind the last event before ``end`` that has the user and the time of the event at each place.

    A binary search for each, since a user may have any number of events at one time.
    """
    low, high = places + 1, dataset.user_offsets[users + 1]
    position = dataset.position[dataset.user_events[places]]
    while (low < high).any():
        middle = (low + high) // 2
        events = dataset.user_events[np.minimum(middle, len(dataset.user_events) - 1)]
        inside = (low < high) & (events < end) & (dataset.position[events] == position)
        low, high = np.where(inside, middle + 1, low), np.where(inside, high, middle)
    return low


def batch_by_length(windows: TrainingWindows, events: int, generator: np.random.Generator) -> list[NDArray[np.int64]]:
    """Places of windows in batches of about as many ``events`` each, in random order.

    Windows of similar length share a batch, to compute little padding. A batch has one window at least.
    """
    tie = generator.random(len(windows))
    order = np.lexsort((tie, windows.lengths))
    batches = [order[start:end] for start, end in pairwise((*_starts(windows, events), len(order)))]
    return [batches[place] for place in generator.permutation(len(batches))]


def events_of_a_step(windows: TrainingWindows, batch_events: int) -> int:
    """The ``batch_events`` of a recipe; for 0, 1,500, or fewer so that an epoch has 50 steps, but at least 100."""
    return batch_events or int(np.clip(windows.lengths.sum() // _ENOUGH_STEPS, _LEAST_EVENTS, _MOST_EVENTS))


def batch_count(windows: TrainingWindows, events: int) -> int:
    """The number of batches of :func:`batch_by_length`."""
    return len(_starts(windows, events))


def _starts(windows: TrainingWindows, events: int) -> NDArray[np.int64]:
    """Where each batch starts among the windows in the order of their lengths."""
    ends = np.sort(windows.lengths).cumsum()
    total = int(windows.lengths.sum())
    batches = (ends - 1) * max(1, round(total / events)) // max(1, total)
    return np.flatnonzero(np.diff(batches, prepend=-1))


def collate(dataset: Dataset, windows: TrainingWindows) -> WindowBatch:
    """TrainingWindows → arrays."""
    length = int(windows.lengths.max())
    place_BL = np.arange(length) - (length - windows.lengths)[:, None]
    inputs = np.where(place_BL >= 0, windows.starts[:, None] + place_BL, 0)
    counts = windows.end_targets - windows.first_targets
    lines = np.repeat(np.arange(len(windows)), counts)
    targets = np.arange(len(lines)) + (windows.first_targets - np.cumsum(counts) + counts)[lines]
    previous = windows.befores[lines] + dataset.position[dataset.user_events[targets]] - 1
    return WindowBatch(
        inputs=inputs,
        mask=(place_BL >= 0).astype(np.float32),
        lines=lines,
        sources=previous - windows.starts[lines] + (length - windows.lengths)[lines],
        targets=targets,
        windows=windows,
    )


def seen_before(dataset: Dataset, batch: WindowBatch) -> NDArray[np.bool_]:
    """The items that each prediction's user has seen, ``[P, items]``."""
    rows, counts_as_seen, windows = dataset.histories.item_rows, _counting(dataset), batch.windows
    seen = np.empty((len(batch.targets), len(dataset.item_ids)), dtype=np.bool_)
    # The places behind the padding that predict, counted from the first that does in its window.
    padding, counts = batch.inputs.shape[1] - windows.lengths, windows.end_targets - windows.first_targets
    sources = (batch.sources - (padding + windows.known)[batch.lines]).astype(np.int32)
    end = 0
    for window, count in enumerate(windows.lengths - windows.known):
        start, predictions = windows.starts[window] + windows.known[window], slice(end, end + int(counts[window]))
        # The first of these places at which an item is seen; for one seen twice, the last write wins.
        first = np.full(seen.shape[1], count, dtype=np.int32)
        places = counts_as_seen(start, start + count)[::-1]
        first[rows[places]] = places - start
        first[rows[counts_as_seen(windows.befores[window], start)]] = 0
        np.less_equal(first, sources[predictions, None], out=seen[predictions])
        end = predictions.stop
    return seen


def _counting(dataset: Dataset) -> Callable[[np.int64, np.int64], NDArray[np.int64]]:
    """A function from the ends of a slice of the histories to the places in it whose event makes an item seen."""
    seen, events = dataset.seen_events, dataset.histories.events
    if seen.counts is None:
        return np.arange
    return lambda start, end: start + np.flatnonzero(seen.among(events[start:end]))
