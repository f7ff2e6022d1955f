"""Vectors for items that first appear after the encoder's slice.

Such an item gets the mean vector of its users, each just before their event with it, scaled to the typical length. So
it is retrieved for users like them, in the space that the ranker has learnt in.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from trainer.data import Dataset
from trainer.data.history_slices import HistorySlices
from trainer.data.split import subsample
from trainer.evaluation.rankings import batches
from trainer.models.encoders.encoded import Encoded

_MOST_EVENTS = 200_000
_TOGETHER = 256
# Histories hold late items as well: the second pass reads those that the first has placed.
_PASSES = 2


def with_late_items(encoded: Encoded, dataset: Dataset, end: int) -> tuple[Encoded, int]:
    """The encoder's vectors, also of items without one that have events before ``end``, and how many these are.

    All other vectors stay as they are. An item whose events all begin a history stays without.
    """
    late = np.asarray(~encoded.vectors.any(axis=1))
    is_late_event = late[dataset.item_rows[:end]] & (dataset.position[:end] >= 1)
    events = subsample(np.flatnonzero(is_late_event), _MOST_EVENTS)
    if not len(events) or late.all():
        return encoded, 0
    length = float(np.median(np.linalg.norm(encoded.vectors[~late], axis=1)))
    for _ in range(_PASSES):
        means = _mean_of_users(encoded, dataset, events)
        norms = np.linalg.norm(means, axis=1, keepdims=True)
        placed = means * np.divide(length, norms, out=np.zeros_like(norms), where=norms > 0)
        vectors = np.where(late[:, None], placed, encoded.vectors).astype(np.float32)
        inputs = vectors if encoded.inputs is encoded.vectors else encoded.inputs
        encoded = replace(encoded, vectors=vectors, inputs=inputs)
    return encoded, int((late & encoded.vectors.any(axis=1)).sum())


def _mean_of_users(encoded: Encoded, dataset: Dataset, events: NDArray[np.int64]) -> NDArray[np.float64]:
    """The mean vector of the users of each item, just before the events; zeros for other items, ``[items, D]``."""
    total = np.zeros(encoded.vectors.shape)
    for batch in batches(events, _TOGETHER):
        features = dataset.known_user_features[dataset.user_rows[batch]]
        vectors = encoded.user_vectors(HistorySlices.before(dataset, batch).listed(), features)
        np.add.at(total, dataset.item_rows[batch], vectors)
    counts = np.bincount(dataset.item_rows[events], minlength=len(total))
    return total / np.maximum(counts, 1)[:, None]
