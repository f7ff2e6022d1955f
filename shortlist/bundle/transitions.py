"""Which item follows which: a sparse item-to-item table, and the features that the ranker makes of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T", bound=np.generic)

# What the table knows of a pair (earlier item, later item).
FOLLOWS, LIKED_AFTER, COSINE = range(3)
FEATURE_COUNT = 6
HISTORY_STEPS = 20
_DECAYS = 0.8 ** np.arange(HISTORY_STEPS, dtype=np.float32)
_MARKS = 2**14


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
        hit, cell = _find(steps.users.take(step), self.rows.take(pairs), candidates)
        step = step.take(hit)
        follows, liked, cosine = self.weights.take(pairs.take(hit), axis=0).T
        back, decay = steps.back.take(step), steps.decay.take(step)
        summed = [
            follows * (back == 0),
            follows * decay,
            follows,
            liked * decay,
            cosine * steps.share.take(step),
            cosine * steps.valued.take(step),
        ]
        found = np.empty((candidates.size, FEATURE_COUNT), dtype=np.float32)
        for place, amounts in enumerate(summed):
            found[:, place] = np.bincount(cell, weights=amounts, minlength=candidates.size)
        return found.reshape(*candidates.shape, FEATURE_COUNT)

    def _pairs_of(self, items: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where the neighbours of each item are, one item after the other, and the place of that item in ``items``."""
        starts = self.offsets.take(items)
        counts = self.offsets.take(items + 1) - starts
        step = np.repeat(np.arange(len(items)), counts)
        before = np.cumsum(counts) - counts
        return np.arange(len(step)) + (starts - before).take(step), step


@dataclass(frozen=True, kw_only=True)
class _Steps:
    """The last steps of several histories, one user after the other, latest first; all ``[steps]``.

    ``back`` counts the steps to the latest, and ``decay`` is less for each; ``share`` is one over the root of the
    history's length, since sums over a whole history grow with it, and ``valued`` is the share times the value.
    """

    items: NDArray[np.int32]
    users: NDArray[np.int64]
    back: NDArray[np.int64]
    decay: NDArray[np.float32]
    share: NDArray[np.float32]
    valued: NDArray[np.float32]

    @classmethod
    def of(cls, histories: Sequence[NDArray[np.int32]], values: Sequence[NDArray[np.float32]]) -> "_Steps":
        lengths = np.array([min(len(history), HISTORY_STEPS) for history in histories])
        users = np.repeat(np.arange(len(histories)), lengths)
        back = np.arange(len(users)) - (np.cumsum(lengths) - lengths)[users]
        share = (1 / np.sqrt(np.maximum(lengths, 1))).astype(np.float32)[users]
        return cls(
            items=_latest(histories),
            users=users,
            back=back,
            decay=_DECAYS[back],
            share=share,
            valued=share * _latest(values),
        )


def _latest(parts: Sequence[NDArray[T]]) -> NDArray[T]:
    return np.concatenate([part[::-1][:HISTORY_STEPS] for part in parts])


def _find(
    users: NDArray[np.int64], rows: NDArray[np.int32], candidates: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which of the users' rows ``[n]`` are candidates ``[users, candidates]`` of theirs, and at which place of all.

    A look into a small table by hash, some times cheaper than a binary search; the few candidates whose place in it was
    taken by another are searched for.
    """
    count, flat = candidates.shape[1], candidates.ravel()
    first = np.arange(len(candidates)) * count
    table = np.repeat(first, _MARKS)
    places = np.arange(flat.size)
    marks = (candidates & (_MARKS - 1)) + (np.arange(len(candidates)) * _MARKS)[:, None]
    table[marks.ravel()] = places
    cell = table.take((rows & (_MARKS - 1)) + users * _MARKS)
    found = flat.take(cell) == rows
    lost = np.flatnonzero(table.take(marks.ravel()) != places)
    if len(lost):
        # A user and a row in one number, since the rows are 32 bits.
        keys = flat[lost] | lost // count << 32
        order = np.argsort(keys)
        missing = np.flatnonzero(~found)
        wanted = rows[missing] | users[missing] << 32
        at = order[np.minimum(np.searchsorted(keys, wanted, sorter=order), len(keys) - 1)]
        late = keys[at] == wanted
        found[missing[late]] = True
        cell[missing[late]] = lost[at[late]]
    hit = np.flatnonzero(found)
    return hit, cell.take(hit)
