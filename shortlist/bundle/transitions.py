"""Which item follows which: a sparse item-to-item table, and the features that the ranker makes of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T", bound=np.generic)

# What the table knows of a pair (earlier item, later item).
FOLLOWS, LIKED_AFTER, COSINE = range(3)
# One feature for each column: the relation it sums, and the decay for each step back in the history.
_RELATION = np.array([FOLLOWS, FOLLOWS, FOLLOWS, LIKED_AFTER, COSINE, COSINE])
_DECAY = np.array([0.0, 0.8, 1.0, 0.8, 1.0, 1.0], dtype=np.float32)
_BY_VALUE = 5
FEATURE_COUNT = len(_RELATION)
HISTORY_STEPS = 20
_DECAYED = _DECAY ** np.arange(HISTORY_STEPS, dtype=np.float32)[:, None]
_MARKS = 2**16


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
        self,
        histories: Sequence[NDArray[np.int32]],
        values: Sequence[NDArray[np.float32]],
        candidates: NDArray[np.int64],
    ) -> NDArray[np.float32]:
        """How well each user's candidates continue their history, ``[users, candidates, FEATURE_COUNT]``.

        ``histories`` are item rows, oldest first, of which the last ``HISTORY_STEPS`` count; ``values`` are their
        standardised values (0 where unknown); ``candidates`` ``[users, candidates]`` are distinct rows for each user.
        The cost follows the neighbours of the histories, not the catalogue.
        """
        steps = _Steps.of(histories, values)
        pairs, step = self._pairs_of(steps.items)
        hit, cell = _find(steps.users[step], self.rows[pairs], candidates)
        added = self.weights[pairs[hit]][:, _RELATION] * steps.weights[step[hit]]
        cells = cell[:, None] * FEATURE_COUNT + np.arange(FEATURE_COUNT)
        total = np.bincount(cells.ravel(), weights=added.ravel(), minlength=candidates.size * FEATURE_COUNT)
        return total.reshape(*candidates.shape, FEATURE_COUNT).astype(np.float32)

    def _pairs_of(self, items: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where the neighbours of each item are, one item after the other, and the place of that item in ``items``."""
        starts = self.offsets[items]
        counts = self.offsets[items + 1] - starts
        step = np.repeat(np.arange(len(items)), counts)
        before = np.cumsum(counts) - counts
        return np.arange(counts.sum()) + (starts - before)[step], step


@dataclass(frozen=True, kw_only=True)
class _Steps:
    """The last steps of several histories, one user after the other, latest first.

    Shapes, of all steps S: items ``[S]``, users ``[S]``, weights ``[S, FEATURE_COUNT]``.
    """

    items: NDArray[np.int32]
    users: NDArray[np.int64]
    weights: NDArray[np.float32]

    @classmethod
    def of(cls, histories: Sequence[NDArray[np.int32]], values: Sequence[NDArray[np.float32]]) -> "_Steps":
        lengths = np.array([min(len(history), HISTORY_STEPS) for history in histories])
        users = np.repeat(np.arange(len(histories)), lengths)
        back = np.arange(len(users)) - (np.cumsum(lengths) - lengths)[users]
        weights = _DECAYED[back]
        # Sums over a whole history grow with its length; the square root keeps long and short ones comparable.
        weights[:, _RELATION == COSINE] /= np.sqrt(np.maximum(lengths, 1)).astype(np.float32)[users, None]
        weights[:, _BY_VALUE] *= _latest(values)
        return cls(items=_latest(histories), users=users, weights=weights)


def _latest(parts: Sequence[NDArray[T]]) -> NDArray[T]:
    return np.concatenate([part[::-1][:HISTORY_STEPS] for part in parts])


def _find(
    users: NDArray[np.int64], rows: NDArray[np.int32], candidates: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which of the users' rows ``[n]`` are candidates ``[users, candidates]`` of theirs, and at which place of all."""
    # Most rows are no candidates, and a look into a table of marks by hash is cheaper than a search in a sorted array.
    marks = np.zeros((len(candidates), _MARKS), dtype=np.bool_)
    everybody = np.arange(len(candidates))[:, None]
    marks[everybody, candidates & (_MARKS - 1)] = True
    likely = np.flatnonzero(marks[users, rows & (_MARKS - 1)])
    # A user and a row in one number, since the rows are 32 bits.
    keys = (candidates | everybody << 32).ravel()
    wanted = rows[likely] | users[likely] << 32
    order = np.argsort(keys)
    ranked = keys[order]
    place = np.minimum(np.searchsorted(ranked, wanted), len(ranked) - 1)
    found = ranked[place] == wanted
    return likely[found], order[place[found]]
