"""Sparse item-to-item tables, and how the pairs of several users' histories and candidates are found in them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_MARKS = 2**14


@dataclass(frozen=True, kw_only=True)
class ItemItemTable:
    """A sparse matrix in compressed rows: of item ``i``, the pairs ``offsets[i]:offsets[i + 1]``.

    Shapes: offsets ``[items + 1]`` int64, rows ``[pairs]`` int32, the other item of each, weights ``[pairs, W]``
    float32, what is known of it.
    """

    offsets: NDArray[np.int64]
    rows: NDArray[np.int32]
    weights: NDArray[np.float32]

    def among(self, cells: "Cells", steps: "Steps") -> "Found":
        """The pairs of a step of a user and a candidate of theirs; costs what the histories have of neighbours."""
        pairs, step = self._of(steps.items)
        hit, cell = cells.find(steps.users.take(step), self.rows.take(pairs))
        return Found(step=step.take(hit), cell=cell, weights=self.weights.take(pairs.take(hit), axis=0))

    def _of(self, items: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where the pairs of each item are, one item after the other, and the place of that item in ``items``."""
        starts = self.offsets.take(items)
        counts = self.offsets.take(items + 1) - starts
        step = np.repeat(np.arange(len(items)), counts)
        pairs = np.arange(len(step))
        pairs += np.repeat(starts - (np.cumsum(counts) - counts), counts)
        return pairs, step


@dataclass(frozen=True, kw_only=True)
class Found:
    """Pairs of a step and a candidate: the ``step`` and the candidate's ``cell``, its place in all users' candidates
    one after the other, both ``[found]``, and the pairs' ``weights`` ``[found, W]``."""

    step: NDArray[np.int64]
    cell: NDArray[np.int64]
    weights: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Steps:
    """The last steps of several histories, one user after the other, latest first; all ``[steps]``.

    ``back`` counts the steps to the latest; ``values`` are the interactions' own.
    """

    items: NDArray[np.int32]
    users: NDArray[np.int64]
    back: NDArray[np.int64]
    values: NDArray[np.float32]

    @classmethod
    def of(cls, histories: Sequence[NDArray[np.int32]], values: Sequence[NDArray[np.float32]], length: int) -> "Steps":
        """Of histories oldest first, the last ``length``."""
        lengths = np.array([min(len(history), length) for history in histories])
        users = np.repeat(np.arange(len(histories)), lengths)
        return cls(
            items=np.concatenate([history[::-1][:length] for history in histories]),
            users=users,
            back=np.arange(len(users)) - (np.cumsum(lengths) - lengths)[users],
            values=np.concatenate([part[::-1][:length] for part in values]),
        )


class Cells:
    """Where each row is among the candidates ``[users, candidates]``, which are distinct for each user.

    A look into a small table by hash, some times cheaper than a binary search; the few candidates whose place in it was
    taken by another are searched for.
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
        # A user and a row in one number, since the rows are 32 bits.
        keys = self._flat[self._lost] | self._lost // count << 32
        order = np.argsort(keys)
        self._keys, self._lost = keys[order], self._lost[order]

    def find(self, users: NDArray[np.int64], rows: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Which of the users' rows ``[n]`` are candidates of theirs, and at which place of all."""
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
