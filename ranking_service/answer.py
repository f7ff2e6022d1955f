"""A ranked list, and the answer to a request."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from shortlist.degraded import Degraded
from shortlist.inference.candidates import Candidates
from shortlist.inference.users import Unknown
from shortlist.live_histories.stage import NOTHING_LIVE, Live


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """Items, best first, with the ranker's columns.

    ``scores`` ``[n]`` are the fused scores, or the retrieval scores of items that the ranker did not score.
    ``predictions`` ``[n, objectives]`` are valid where ``is_scored`` ``[n]``.
    """

    items: Candidates
    scores: NDArray[np.float32]
    predictions: NDArray[np.float32]
    is_scored: NDArray[np.bool_]

    @classmethod
    def unscored(cls, items: Candidates, objectives: int, scores: NDArray[np.float32] | None = None) -> Self:
        """Items that the ranker did not score; ``objectives`` is how many it predicts.

        ``scores`` ``[n]`` default to the retrieval scores.
        """
        count = len(items)
        return cls(
            items=items,
            scores=items.scores if scores is None else scores,
            predictions=np.zeros((count, objectives), dtype=np.float32),
            is_scored=np.zeros(count, dtype=np.bool_),
        )

    def __len__(self) -> int:
        return len(self.items)

    def then(self, others: "Ranked") -> "Ranked":
        """These items, then the others."""
        return Ranked(
            items=self.items.then(others.items),
            scores=np.concatenate([self.scores, others.scores]),
            predictions=np.concatenate([self.predictions, others.predictions]),
            is_scored=np.concatenate([self.is_scored, others.is_scored]),
        )


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A ranked list, the counts of unknown names, and why the list is degraded; None when it is not.

    ``live`` is the live history that the list knows. ``hidden`` counts the candidates of the caller that are left out,
    because they may not be shown.
    """

    ranked: Ranked
    unknown: Unknown
    degraded: Degraded | None = None
    live: Live = NOTHING_LIVE
    hidden: int = 0
