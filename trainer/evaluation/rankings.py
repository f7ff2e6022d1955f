"""Ranks the catalogue for each query and measures the lists."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from shortlist.bundle.history import History, SeenEvents
from trainer.data import Dataset
from trainer.evaluation.best_rows import best_rows
from trainer.evaluation.metrics import Rankings
from trainer.evaluation.queries import Profiles, Queries

# Users → scores of every item, [B, items].
Scorer = Callable[[Profiles], NDArray[np.floating]]
BATCH = 64
# About as many scores are worked on at once.
_SCORES = 2**23
# With a small catalogue these scores belong to many users, whose histories take memory as well.
_MOST_TOGETHER = 256


def batches(events: NDArray[np.int64], size: int = BATCH) -> Iterator[NDArray[np.int64]]:
    """The events in pieces; the default size fits a score matrix in memory."""
    for start in range(0, len(events), size):
        yield events[start : start + size]


def hide_seen(scores: NDArray[np.floating], histories: Sequence[History], seen: SeenEvents) -> None:
    """Puts the items that each user has seen last, in place."""
    for line, history in enumerate(histories):
        scores[line, seen.rows_of(history)] = -np.inf


def hide_unlisted(scores: NDArray[np.floating], listed: NDArray[np.integer] | None) -> None:
    """Puts the items that no list may hold last, in place; ``listed`` are the rows of all others, None for all."""
    if listed is not None:
        hidden = np.ones(scores.shape[1], dtype=np.bool_)
        hidden[listed] = False
        scores[:, hidden] = -np.inf


def rankings(scorer: Scorer, queries: Queries, depth: int, end: int) -> Rankings:
    """The first ``depth`` items that may be recommended to each user, without the items that the user
    has seen in the history. The shares of users who have each item count the events before ``end``.

    The lower row comes first among equal scores.
    """
    items = len(queries.dataset.item_ids)
    size = max(1, min(_SCORES // items, _MOST_TOGETHER))
    hits, relevant = np.zeros((len(queries), depth), dtype=np.bool_), np.zeros(len(queries), dtype=np.int64)
    rows = np.full((len(queries), depth), -1, dtype=np.int64)
    start, places = 0, slice(0, min(depth, items))
    may_be_listed = queries.listed
    listed = None if may_be_listed.all() else np.flatnonzero(may_be_listed)
    for batch in queries.batches(size):
        profiles = batch.profiles()
        scores = scorer(profiles)
        hide_seen(scores, profiles.histories, queries.dataset.seen_events)
        hide_unlisted(scores, listed)
        best = best_rows(scores, depth)
        allowed = np.isfinite(np.take_along_axis(scores, best, axis=1))
        lines, of_batch = slice(start, start + len(batch)), batch.relevant()
        hits[lines, places] = np.take_along_axis(of_batch, best, axis=1) & allowed
        relevant[lines] = of_batch.sum(axis=1)
        rows[lines, places] = np.where(allowed, best, -1)
        start = lines.stop
    return Rankings(
        hits=hits,
        relevant=relevant,
        rows=rows,
        allowed=may_be_listed,
        owners=_owners(queries.dataset, end),
    )


def _owners(dataset: Dataset, end: int) -> NDArray[np.float64]:
    pairs = np.unique(dataset.user_rows[:end] * len(dataset.item_ids) + dataset.item_rows[:end])
    users = np.bincount(pairs % len(dataset.item_ids), minlength=len(dataset.item_ids))
    return np.asarray((users + 1.0) / (len(np.unique(dataset.user_rows[:end])) + 1.0), dtype=np.float64)
