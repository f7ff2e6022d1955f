"""The list of items that a request carries from the index to the answer."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Self

import numpy as np
from numpy.typing import NDArray


class Source(IntEnum):
    """Where an item of a list comes from; numbered as ``shortlist.type.v1.Source``."""

    MODEL = 1
    """The models chose it for this user."""
    FALLBACK = 2
    """It is popular with all users."""


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """Items in order, as parallel arrays ``[n]``: rows of the bundle, retrieval scores and :class:`Source` numbers.

    The rows are distinct. A retrieval score is the inner product of the user vector and the item vector, 0 for an item
    that was not retrieved. Every item has its own source, wherever in the list it stands.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    sources: NDArray[np.uint8]

    @classmethod
    def from_model(cls, rows: NDArray[np.int64], scores: NDArray[np.float32]) -> Self:
        """Items that the models chose, with their retrieval scores."""
        return cls(rows=rows, scores=scores, sources=np.full(len(rows), Source.MODEL, dtype=np.uint8))

    @classmethod
    def from_fallback(cls, rows: NDArray[np.int64]) -> Self:
        """Popular items; their scores are 0."""
        sources = np.full(len(rows), Source.FALLBACK, dtype=np.uint8)
        return cls(rows=rows, scores=np.zeros(len(rows), dtype=np.float32), sources=sources)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def is_from_model(self) -> NDArray[np.bool_]:
        """Which items the models chose, ``[n]``."""
        mask: NDArray[np.bool_] = self.sources == Source.MODEL
        return mask

    def take(self, places: NDArray[np.int64]) -> "Candidates":
        """The items at these places, in this order."""
        return Candidates(
            rows=self.rows.take(places), scores=self.scores.take(places), sources=self.sources.take(places)
        )

    def keep(self, mask: NDArray[np.bool_]) -> "Candidates":
        """The items where the mask ``[n]`` is true."""
        return Candidates(rows=self.rows[mask], scores=self.scores[mask], sources=self.sources[mask])

    def first(self, count: int) -> "Candidates":
        """The first ``count`` items, or fewer."""
        return Candidates(rows=self.rows[:count], scores=self.scores[:count], sources=self.sources[:count])

    def then(self, others: "Candidates") -> "Candidates":
        """These items, then the others."""
        return Candidates(
            rows=np.concatenate([self.rows, others.rows]),
            scores=np.concatenate([self.scores, others.scores]),
            sources=np.concatenate([self.sources, others.sources]),
        )


NO_CANDIDATES = Candidates.from_fallback(np.zeros(0, dtype=np.int64))
