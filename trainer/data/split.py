"""Slices of time for training and test, so that no model learns from later events."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.data import Dataset
from trainer.data.questions import is_first, refuse_too_few
from trainer.recipe import SplitConfig


@dataclass(frozen=True, kw_only=True)
class Split:
    """Ends of the slices, as positions in the events in time order.

    The encoder learns from ``[0, encoder_end)``, the ranker from ``[encoder_end, ranker_end)``, the rest tests both.
    Events of one user and one time are in one slice.
    With impressions, whose slices are by time, a slice begins with the first event of a time. Then the impressions of
    that time and their outcomes are in one slice.
    """

    encoder_end: int
    ranker_end: int
    end: int


def evaluation_split(dataset: Dataset, recipe: SplitConfig) -> Split:
    """The split that the offline figures are measured on.

    Raises:
        DataError: the slice of the ranker or of the test has too few questions.
    """
    end = dataset.counts.interactions
    split = Split(
        encoder_end=_border(dataset, 1 - recipe.test - recipe.ranker),
        ranker_end=_border(dataset, 1 - recipe.test),
        end=end,
    )
    first = is_first(dataset, dataset.likes)
    for name, start, stop in (("ranker", split.encoder_end, split.ranker_end), ("test", split.ranker_end, end)):
        refuse_too_few(dataset, name, start, stop, first)
    return split


def final_split(dataset: Dataset, recipe: SplitConfig) -> Split:
    """The same slices moved to the end of the data: the test's events train the ranker, the ranker's the encoder."""
    end = dataset.counts.interactions
    return Split(encoder_end=_border(dataset, 1 - recipe.ranker), ranker_end=end, end=end)


def _border(dataset: Dataset, share: float) -> int:
    event = round(dataset.counts.interactions * share)
    if dataset.impressions is not None:
        return dataset.until(dataset.time_of(event))
    if not 0 < event < len(dataset.times):
        return event
    # The events of one user and one time lie side by side; this is the first of them.
    return int(dataset.user_events[dataset.user_offsets[dataset.user_rows[event]] + dataset.position[event]])


def targets(dataset: Dataset, start: int, end: int) -> NDArray[np.int64]:
    """Events of a slice that a recommender should predict: liked, of an item that a list may hold, with a history."""
    events = np.arange(start, end)
    return events[(dataset.position[start:end] >= 1) & is_first(dataset, dataset.likes)[start:end]]


def held_out_events(dataset: Dataset, split: Split) -> NDArray[np.int64]:
    """The events that measure both stages."""
    return targets(dataset, split.ranker_end, split.end)


def subsample(events: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """All events, or an evenly spaced sample of ``count``."""
    if len(events) <= count:
        return events
    return events[np.linspace(0, len(events) - 1, count).astype(np.int64)]
