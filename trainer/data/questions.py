"""The events that a recommender is asked to predict, and why others are none.

A question is the first positive event of a user and an item that the user has not seen before. The user has a history.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from trainer.data.arrays import CHUNK, array
from trainer.data.dataset import Dataset, Flags, Ints
from trainer.errors import DataError

LEAST_QUESTIONS = 20
"""Half of the 95 % interval of a hit rate of 0.2 is 0.18 then: fewer tell no model from another."""
MOST_KINDS = 8
"""So many kinds of events, the most frequent, are counted by themselves."""


def refuse_too_few(dataset: Dataset, name: str, start: int, end: int, first: Flags) -> None:
    """Refuses a slice with too few questions, whose first ones of each item are ``first`` ``[N]``.

    Raises:
        DataError: counts the slice's events by kind, and says what to change.
    """
    found = int((first[start:end] & (dataset.position[start:end] >= 1)).sum())
    if found < LEAST_QUESTIONS:
        reasons = _reasons(dataset, start, end, first)
        raise DataError(
            f"the {name} slice has {found} questions, and at least {LEAST_QUESTIONS} are needed, before any training. "
            "A question is a user's first positive event with an item not seen before, after another event. "
            f"Of the slice's {end - start:,} events: {'; '.join(_by_kind(dataset, start, end, reasons))}. "
            f"{' '.join(_advice(dataset, name, reasons))}"
        )


_QUESTION, _NOT_POSITIVE, _NO_HISTORY, _SEEN, _UNLISTED, _REPEAT = range(6)
_WORDS = (
    "questions",
    "not positive",
    "without a history",
    "of an item seen before",
    "of an item that no list may hold",
    "repeats of a question",
)


def _reasons(dataset: Dataset, start: int, end: int, first: Flags) -> Ints:
    """Why each event of the slice is a question or none, ``[n]``."""
    part = slice(start, end)
    unseen, listed = is_unseen(dataset)[part], dataset.listed[dataset.item_rows[part]]
    conditions = [~dataset.likes[part], dataset.position[part] < 1, ~unseen, ~listed, ~first[part]]
    return np.select(conditions, [_NOT_POSITIVE, _NO_HISTORY, _SEEN, _UNLISTED, _REPEAT], _QUESTION)


def _by_kind(dataset: Dataset, start: int, end: int, reasons: Ints) -> Iterator[str]:
    names, kinds = ("event", *dataset.event_names), dataset.events[start:end]
    counts = np.bincount(kinds, minlength=len(names))
    for kind in np.argsort(-counts, kind="stable")[:MOST_KINDS].tolist():
        if counts[kind]:
            of_kind = np.bincount(reasons[kinds == kind], minlength=len(_WORDS))
            parts = [f"{count:,} {word}" for count, word in zip(of_kind, _WORDS, strict=True) if count]
            yield f"{names[kind]}: {counts[kind]:,} ({', '.join(parts)})"


def _advice(dataset: Dataset, name: str, reasons: Ints) -> Iterator[str]:
    counts = np.bincount(reasons, minlength=len(_WORDS))
    seen = ", ".join(dataset.seen_events.names) or "every event"
    if counts[_SEEN]:
        yield f"An item is seen after {seen}: [interactions] seen_events may name fewer."
    if counts[_UNLISTED]:
        yield "[items] only_listed may be false."
    if counts[_NOT_POSITIVE]:
        yield "[interactions] positive_events may name more, or positive_value be lower."
    if tied := dataset.tied:
        yield f"{tied:,} events have the time of another one of their user, and so no history in it: give finer times."
    yield f"Else give more data, or a larger [split] {name}."


def is_unseen(dataset: Dataset) -> Flags:
    """Whether the user of each event ``[N]`` has not seen its item strictly before."""
    found = array(len(dataset.times), np.bool_)
    for events, pairs in _pairs_of_users(dataset):
        _, of_pair = np.unique(pairs, return_inverse=True)
        seen = dataset.seen_events.among(dataset.events[events])
        position = dataset.position[events]
        first = np.full(int(of_pair.max()) + 1, len(found))
        np.minimum.at(first, of_pair[seen], position[seen])
        found[events] = position <= first[of_pair]
    return found


def is_first(dataset: Dataset, wanted: Flags) -> Flags:
    """Whether each event ``[N]`` is its user's first of the ``wanted`` ones ``[N]`` with an item that may be listed."""
    return _first(dataset, wanted & _may_be_listed(dataset))


def questions_by_event(dataset: Dataset) -> Iterator[tuple[str, Flags]]:
    """Whether each event ``[N]`` is a question about its kind, for each of the most frequent kinds; none of one kind.

    Such a question is a user's first event of the kind with an item that may be listed, after another event.
    """
    if len(dataset.event_names) < 2:
        return
    counts = np.bincount(dataset.events, minlength=len(dataset.event_names) + 1)[1:]
    may_be_asked = _may_be_listed(dataset)
    for kind in np.argsort(-counts, kind="stable")[:MOST_KINDS].tolist():
        asked = _first(dataset, (dataset.events == kind + 1) & may_be_asked) & (dataset.position >= 1)
        yield dataset.event_names[kind], asked


def _may_be_listed(dataset: Dataset) -> Flags:
    return is_unseen(dataset) & dataset.listed[dataset.item_rows]


def _first(dataset: Dataset, wanted: Flags) -> Flags:
    """Whether each event ``[N]`` is the first of the ``wanted`` ones ``[N]`` of its user and its item."""
    first = array(len(dataset.times), np.bool_)
    for events, pairs in _pairs_of_users(dataset):
        found = np.flatnonzero(wanted[events])
        first[events[found[np.unique(pairs[found], return_index=True)[1]]]] = True
    return first


def _pairs_of_users(dataset: Dataset) -> Iterator[tuple[Ints, Ints]]:
    """The events of some users, by user and then by time, and a number for the user and the item of each.

    A group of users at a time, who have about as many events as are worked on at once.
    """
    groups = np.searchsorted(dataset.user_offsets, np.arange(0, len(dataset.times), CHUNK))
    for start, end in pairwise(np.unique([*groups, len(dataset.user_ids)])):
        offsets = dataset.user_offsets[start : end + 1]
        if offsets[0] < offsets[-1]:
            user = np.repeat(np.arange(start, end), np.diff(offsets))
            rows = dataset.histories.item_rows[offsets[0] : offsets[-1]]
            pairs: Ints = (user * len(dataset.item_ids) + rows).astype(np.int64)
            yield dataset.user_events[offsets[0] : offsets[-1]], pairs
