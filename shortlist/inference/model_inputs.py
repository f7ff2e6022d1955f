"""The inputs of the two models, gathered by the trainer and the services alike, so that they cannot differ.

Rows are gathered with ``take``, which costs a third of indexing with an array.

Legend of shapes: B users, L interactions of a history, C candidates, D vector components, F item features,
X item-item features.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from shortlist.bundle.history import History
from shortlist.bundle.item_item import HISTORY_STEPS
from shortlist.bundle.tables import ItemTables

Inputs = dict[str, NDArray[np.generic]]


@dataclass(frozen=True, kw_only=True)
class CandidateLists:
    """Candidates of several users, equally many for each, in the order of retrieval: the position is a feature.

    Shapes: rows ``[B, C]``, scores ``[B, C]`` (inner products with the user vector), item_item ``[B, C, X]``.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    item_item: NDArray[np.float32]

    def at(self, places: slice | NDArray[np.int64], listed: slice | NDArray[np.int64] = slice(None)) -> Self:
        """The lists at some places, or of these lists the candidates that are ``listed``."""
        return type(self)(
            rows=self.rows[places, listed], scores=self.scores[places, listed], item_item=self.item_item[places, listed]
        )


@dataclass(frozen=True, kw_only=True)
class LatestFirst:
    """The last interactions of several users, latest first, all ``[B, L]``. Padding has row 0, value NaN and mask 0."""

    rows: NDArray[np.int64]
    values: NDArray[np.float32]
    mask: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class UserInputs:
    """The ranker's inputs of several users and their requests.

    Shapes: user vectors ``[B, D]``, user features ``[B, U]``, encoded contexts ``[B, K]``.
    """

    vectors: NDArray[np.float32]
    features: NDArray[np.float32]
    context: NDArray[np.float32]


def encoder_inputs(
    items: NDArray[np.float32], histories: Sequence[History], length: int, user_features: NDArray[np.float32]
) -> Inputs:
    """Inputs of the user encoder: the last ``length`` interactions, oldest first, padded on the left.

    ``items`` ``[items, I]`` are the vectors that the encoder reads items as. ``user_features`` ``[B, U]`` are zeros for
    a user that the bundle does not describe. An empty history is all padding.
    """
    rows, values, events, mask = _padded([history.last(length) for history in histories])
    return {
        "history_vectors": items.take(rows, axis=0) * mask[..., None],
        "history_values": values,
        "history_events": events,
        "history_mask": mask,
        "user_features": user_features,
    }


def ranker_inputs(items: ItemTables, history: LatestFirst, users: UserInputs, candidates: CandidateLists) -> Inputs:
    """Inputs of the ranker: the history, the users, and everything gathered by candidate."""
    rows, mask = history.rows, history.mask
    places = np.arange(candidates.rows.shape[1], dtype=np.float32)
    return {
        "user_vectors": users.vectors,
        "user_features": users.features,
        "context": users.context,
        "history_vectors": items.vectors.take(rows, axis=0) * mask[..., None],
        "history_features": items.features.take(rows, axis=0) * mask[..., None],
        "history_values": items.clamped(history.values),
        "history_mask": mask,
        "candidate_vectors": items.vectors.take(candidates.rows, axis=0),
        "candidate_features": items.features.take(candidates.rows, axis=0),
        "candidate_item_item": candidates.item_item,
        "candidate_scores": candidates.scores,
        "candidate_places": np.broadcast_to(places, candidates.rows.shape).copy(),
    }


def latest_first(histories: Sequence[History], length: int) -> LatestFirst:
    """The last ``length`` interactions of each history."""
    rows, values, _, mask = _padded([history.last(length) for history in histories])
    # Copies: a reversed view of a single column counts as contiguous, with a negative stride that PyTorch refuses.
    return LatestFirst(rows=rows[:, ::-1].copy(), values=values[:, ::-1].copy(), mask=mask[:, ::-1].copy())


def item_item_features(
    items: ItemTables, histories: Sequence[History], candidates: NDArray[np.int64]
) -> NDArray[np.float32]:
    """The item-item features ``[B, C, X]`` of each candidate ``[B, C]`` and its user's history."""
    values = [items.standardised(history.last(HISTORY_STEPS).values) for history in histories]
    return items.item_item.features([history.last(HISTORY_STEPS).rows for history in histories], values, candidates)


def _padded(
    histories: Sequence[History],
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
    """Rows, values, events and mask ``[B, L]``, right-aligned; padding is row 0, value NaN, event 0, mask 0."""
    length = max([1, *map(len, histories)])
    shape = (len(histories), length)
    rows, events = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    values, mask = np.full(shape, np.nan, dtype=np.float32), np.zeros(shape, dtype=np.float32)
    for line, history in enumerate(histories):
        if len(history):
            rows[line, -len(history) :] = history.rows
            values[line, -len(history) :] = history.values
            events[line, -len(history) :] = history.events
            mask[line, -len(history) :] = 1.0
    return rows, values, events, mask
