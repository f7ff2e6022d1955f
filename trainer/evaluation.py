"""The protocol "next like": rank the whole catalogue but what the user has, given all they did before."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from shortlist.inference.history import History
from trainer.data import Dataset
from trainer.histories import histories_before
from trainer.metrics import places_of

# Histories → scores of every item, [histories, items].
Scorer = Callable[[Sequence[History]], NDArray[np.floating]]
BATCH = 64


def batches(events: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """The events in pieces that a score matrix fits in memory for."""
    for start in range(0, len(events), BATCH):
        yield events[start : start + BATCH]


def hide_seen(scores: NDArray[np.floating], histories: Sequence[History]) -> None:
    """Makes what each user already has the last to be recommended, in place."""
    for line, history in enumerate(histories):
        scores[line, history.rows] = -np.inf


def places_of_targets(dataset: Dataset, events: NDArray[np.int64], scorer: Scorer) -> NDArray[np.int64]:
    """0-based place of each event's item in the ranking made from what came before it, ``[events]``."""
    places = []
    for batch in batches(events):
        histories = histories_before(dataset, batch)
        scores = scorer(histories)
        hide_seen(scores, histories)
        places.append(places_of(scores, dataset.item_rows[batch]))
    return np.concatenate(places)
