"""Which item follows which: a sparse item-to-item table, and the features that the ranker makes of it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# What the table knows of a pair (earlier item, later item).
FOLLOWS, LIKED_AFTER, COSINE = range(3)
# One feature for each column: the relation it sums, and the decay for each step back in the history.
_RELATION = np.array([FOLLOWS, FOLLOWS, FOLLOWS, LIKED_AFTER, COSINE, COSINE])
_DECAY = np.array([0.0, 0.8, 1.0, 0.8, 1.0, 1.0], dtype=np.float32)
_BY_VALUE = 5
FEATURE_COUNT = len(_RELATION)
HISTORY_STEPS = 20


@dataclass(frozen=True, kw_only=True)
class TransitionTable:
    """A sparse matrix in compressed rows: of item ``i``, the neighbours ``offsets[i]:offsets[i + 1]``.

    Shapes: offsets ``[items + 1]`` int64, rows ``[pairs]`` int32, weights ``[pairs, 3]`` float32, whose columns are
    P(next within the window), P(next and liked) and the cosine of the two items' users.
    """

    offsets: NDArray[np.int64]
    rows: NDArray[np.int32]
    weights: NDArray[np.float32]

    def features(
        self, history: NDArray[np.int32], values: NDArray[np.float32], candidates: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """How well each candidate continues a history, ``[candidates, FEATURE_COUNT]``.

        ``history`` are item rows, oldest first, of which the last ``HISTORY_STEPS`` count; ``values`` are their
        standardised values (0 where unknown); ``candidates`` are distinct rows. The cost follows the neighbours of the
        history, not the catalogue.
        """
        recent, recent_values = history[::-1][:HISTORY_STEPS], values[::-1][:HISTORY_STEPS]
        pairs, step = self._pairs_of(recent)
        order = np.argsort(candidates)
        ranked = candidates[order]
        place = np.minimum(np.searchsorted(ranked, self.rows[pairs]), len(candidates) - 1)
        hit = ranked[place] == self.rows[pairs]
        by_step = _step_weights(len(recent), recent_values)
        added = self.weights[pairs[hit]][:, _RELATION] * by_step[step[hit]]
        cells = order[place[hit]][:, None] * FEATURE_COUNT + np.arange(FEATURE_COUNT)
        total = np.bincount(cells.ravel(), weights=added.ravel(), minlength=len(candidates) * FEATURE_COUNT)
        return total.reshape(len(candidates), FEATURE_COUNT).astype(np.float32)

    def _pairs_of(self, items: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where the neighbours of each item are, one item after the other, and the place of that item in ``items``."""
        starts = self.offsets[items]
        counts = self.offsets[items + 1] - starts
        step = np.repeat(np.arange(len(items)), counts)
        before = np.cumsum(counts) - counts
        return np.arange(counts.sum()) + (starts - before)[step], step


def _step_weights(length: int, values: NDArray[np.float32]) -> NDArray[np.float32]:
    weights = _DECAY ** np.arange(length, dtype=np.float32)[:, None]
    # Sums over a whole history grow with its length; the square root keeps long and short ones comparable.
    weights[:, _RELATION == COSINE] /= np.sqrt(max(length, 1))
    weights[:, _BY_VALUE] *= values
    return weights
