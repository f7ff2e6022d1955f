"""A sparse item-item table, and the lookup of the pairs between users' histories and their candidates."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_MARKS = 2**14


@dataclass(frozen=True, kw_only=True)
class ItemItemTable:
    """A sparse matrix in compressed rows (CSR): item ``i`` has the pairs ``offsets[i]:offsets[i + 1]``.

    Shapes: ``offsets`` ``[items + 1]`` int64; ``rows`` ``[pairs]`` int32, the other item of each pair; ``weights``
    ``[pairs, W]`` float32.
    """

    offsets: NDArray[np.int64]
    rows: NDArray[np.int32]
    weights: NDArray[np.float32]

    def among(self, cells: "Cells", steps: "Steps") -> "Found":
        """The pairs between each user's steps and candidates; the cost grows with the neighbours of the steps."""
        pairs, step = self._of(steps.items)
        hit, cell = cells.find(steps.users.take(step), self.rows.take(pairs))
        return Found(step=step.take(hit), cell=cell, weights=self.weights.take(pairs.take(hit), axis=0))

    def neighbours(self, items: NDArray[np.int64], column: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The other items of the pairs of ``items``, ascending and distinct, and the sums of their weights in a column.

        Both are ``[n]``.
        """
        pairs, _ = self._of(items)
        rows, place = np.unique(self.rows.take(pairs), return_inverse=True)
        sums = np.bincount(place, weights=self.weights.take(pairs, axis=0)[:, column])
        return rows.astype(np.int64), sums.astype(np.float64)

    def _of(self, items: NDArray[np.int32] | NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The indices of the pairs of ``items``, item by item, and each pair's place in ``items``; both ``[pairs]``."""
        starts = self.offsets.take(items)
        counts = self.offsets.take(items + 1) - starts
        step = np.repeat(np.arange(len(items)), counts)
        pairs = np.arange(len(step))
        pairs += np.repeat(starts - (np.cumsum(counts) - counts), counts)
        return pairs, step


@dataclass(frozen=True, kw_only=True)
class Found:
    """Pairs between steps and candidates.

    Shapes: ``step`` ``[found]``; ``cell`` ``[found]``, the candidate's place in the flattened candidates of all users;
    ``weights`` ``[found, W]``.
    """

    step: NDArray[np.int64]
    cell: NDArray[np.int64]
    weights: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Steps:
    """The last interactions of several histories, user by user, latest first; all arrays are ``[steps]``.

    ``back`` counts the steps since, 0 for the latest. ``values`` are the interactions' standardised values.
    """

    items: NDArray[np.int32]
    users: NDArray[np.int64]
    back: NDArray[np.int64]
    values: NDArray[np.float32]

    @classmethod
    def of(cls, histories: Sequence[NDArray[np.int32]], values: Sequence[NDArray[np.float32]], length: int) -> "Steps":
        """Takes the last ``length`` interactions of each history; histories and values are oldest first."""
        lengths = np.array([min(len(history), length) for history in histories])
        users = np.repeat(np.arange(len(histories)), lengths)
        return cls(
            items=np.concatenate([history[::-1][:length] for history in histories]),
            users=users,
            back=np.arange(len(users)) - (np.cumsum(lengths) - lengths)[users],
            values=np.concatenate([part[::-1][:length] for part in values]),
        )


class Cells:
    """Finds rows among the candidates ``[users, candidates]``, which are distinct for each user.

    A small hash table for each user is several times cheaper than a binary search. Only candidates that lost their
    slot to another one are found by binary search.
    """

    def __init__(self, candidates: NDArray[np.int64]) -> None:
        self.size, count = candidates.size, candidates.shape[1]
        self._flat = candidates.ravel()
        self._table = np.repeat(np.arange(len(candidates)) * count, _MARKS)
        places = np.arange(self.size)
        marks = ((candidates & (_MARKS - 1)) + (np.arange(len(candidates)) * _MARKS)[:, None]).ravel()
        self._table[marks] = places
        self._lost = np.flatnonzero(self._table.take(marks) != places)
        self._shared = np.zeros(len(self._table), dtype=np.bool_)
        self._shared[marks[self._lost]] = True
        # The key is user and row in one integer: rows have 32 bits.
        keys = self._flat[self._lost] | self._lost // count << 32
        order = np.argsort(keys)
        self._keys, self._lost = keys[order], self._lost[order]

    def find(self, users: NDArray[np.int64], rows: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The indices of the rows ``[n]`` that are candidates of their user, and the cells of these candidates."""
        marks = (rows & (_MARKS - 1)) + users * _MARKS
        cell = self._table.take(marks)
        found = self._flat.take(cell) == rows
        if len(self._lost):
            missing = np.flatnonzero(self._shared.take(marks) & ~found)
            wanted = rows[missing] | users[missing] << 32
            at = np.minimum(np.searchsorted(self._keys, wanted), len(self._keys) - 1)
            late = self._keys[at] == wanted
            found[missing[late]] = True
            cell[missing[late]] = self._lost[at[late]]
        hit = np.flatnonzero(found)
        return hit, cell.take(hit)
