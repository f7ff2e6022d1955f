"""Slices of time for training and test, so that no model learns from later events."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from trainer.data import Dataset
from trainer.data.arrays import CHUNK, array
from trainer.errors import DataError
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
    """The split that the offline figures are measured on."""
    end = dataset.counts.interactions
    split = Split(
        encoder_end=_border(dataset, 1 - recipe.test - recipe.ranker),
        ranker_end=_border(dataset, 1 - recipe.test),
        end=end,
    )
    slices = {"ranker": targets(dataset, split.encoder_end, split.ranker_end), "test": held_out_events(dataset, split)}
    for name, events in slices.items():
        if not len(events):
            raise DataError(
                f"the {name} slice has no liked item that is new to a user with a history; "
                f"the data has {end} interactions, which is too few, or too few of them are likes"
                f"{_without_order(dataset)}"
            )
    return split


def _without_order(dataset: Dataset) -> str:
    tied = dataset.tied
    return f"; {tied} have the time of another one of their user, and so no history in it" if tied else ""


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
    """Events of a slice that a recommender should predict: liked, new to the user, with a history before.

    Their items may be in lists.
    """
    events = np.arange(start, end)
    listed = dataset.listed[dataset.item_rows[start:end]]
    return events[(dataset.position[start:end] >= 1) & listed & _is_first_like(dataset)[start:end]]


def held_out_events(dataset: Dataset, split: Split) -> NDArray[np.int64]:
    """The events that measure both stages."""
    return targets(dataset, split.ranker_end, split.end)


def subsample(events: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """All events, or an evenly spaced sample of ``count``."""
    if len(events) <= count:
        return events
    return events[np.linspace(0, len(events) - 1, count).astype(np.int64)]


def _is_first_like(dataset: Dataset) -> NDArray[np.bool_]:
    """Whether each event is its user's first like of an item without an event strictly before it in time.

    Only these can be predicted: lists omit seen items.
    """
    first = array(len(dataset.times), np.bool_)
    # A group of users at a time, who have about as many events as are worked on at once.
    groups = np.searchsorted(dataset.user_offsets, np.arange(0, len(first), CHUNK))
    for start, end in pairwise(np.unique([*groups, len(dataset.user_ids)])):
        offsets = dataset.user_offsets[start : end + 1]
        user = np.repeat(np.arange(start, end), np.diff(offsets))
        pair = user * len(dataset.item_ids) + dataset.histories.item_rows[offsets[0] : offsets[-1]]
        events = dataset.user_events[offsets[0] : offsets[-1]]
        position = dataset.position[events]
        _, earliest, of_pair = np.unique(pair, return_index=True, return_inverse=True)
        new = np.flatnonzero(dataset.likes[events] & (position == position[earliest][of_pair]))
        first[events[new[np.unique(pair[new], return_index=True)[1]]]] = True
    return first
