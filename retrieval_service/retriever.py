"""The request path of retrieval, stage by stage."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval_service.index import FaissIndex, Neighbours
from shortlist.bundle.bundle import Bundle
from shortlist.bundle.ids import rows_of
from shortlist.popular import popular_rows
from shortlist.user_encoder import UserEncoder
from shortlist.users import UserQuery, resolve_user


@dataclass(frozen=True, kw_only=True)
class RetrievalQuery:
    """What to look for: a user, or the neighbours of ``similar_to`` when that is not empty."""

    user: UserQuery
    similar_to: tuple[str, ...]
    limit: int
    exclude: tuple[str, ...]
    keep_seen: bool


@dataclass(frozen=True, kw_only=True)
class Retrieved:
    """Candidates, best first: ``rows`` ``[found]``, of which the first ``len(scores)`` are the model's own.

    ``vector`` ``[dimension]`` is what was searched for; None when nobody is known.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    vector: NDArray[np.float32] | None
    unknown_items: int


@dataclass(frozen=True, kw_only=True)
class _Target:
    """What to search near, and what may not be found."""

    vector: NDArray[np.float32] | None
    hidden: NDArray[np.int64]
    unknown_items: int


class Retriever:
    """Stage one over one bundle."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._encoder = UserEncoder(bundle)
        self._index = FaissIndex(bundle)

    def retrieve(self, query: RetrievalQuery) -> Retrieved:
        """Resolve → encode → search → filter → cut → fill."""
        target = self._target_items(query) if query.similar_to else self._target_user(query)
        hidden, unknown_excluded = self._hide_excluded(target, query)
        found = self._search(target, hidden, query.limit)
        rows = self._fill(found, hidden, query.limit)
        return Retrieved(
            rows=rows, scores=found.scores, vector=target.vector, unknown_items=target.unknown_items + unknown_excluded
        )

    def _target_user(self, query: RetrievalQuery) -> _Target:
        user = resolve_user(self.bundle, query.user)
        vector = self._encoder.encode(user.history) if len(user.history) else None
        seen = user.seen[:0] if query.keep_seen else user.seen
        return _Target(vector=vector, hidden=seen, unknown_items=user.unknown_items)

    def _target_items(self, query: RetrievalQuery) -> _Target:
        rows = rows_of(self.bundle.items.ids, query.similar_to)
        known = rows[rows >= 0]
        vector = self._mean_direction(known) if len(known) else None
        return _Target(vector=vector, hidden=known, unknown_items=len(rows) - len(known))

    def _mean_direction(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        # Of directions, since a basket's one popular item would outweigh the others by its length.
        vectors = self.bundle.items.vectors[rows]
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        mean: NDArray[np.float32] = (vectors / np.maximum(lengths, 1e-12)).mean(axis=0)
        return mean

    def _hide_excluded(self, target: _Target, query: RetrievalQuery) -> tuple[NDArray[np.int64], int]:
        excluded = rows_of(self.bundle.items.ids, query.exclude)
        known = excluded >= 0
        return np.union1d(target.hidden, excluded[known]), int(np.count_nonzero(~known))

    def _search(self, target: _Target, hidden: NDArray[np.int64], limit: int) -> Neighbours:
        if target.vector is None:
            return Neighbours(rows=np.zeros(0, dtype=np.int64), scores=np.zeros(0, dtype=np.float32))
        # Enough neighbours that the filter cannot leave fewer than the limit: cut after the filter, never before.
        neighbours = self._index.search(target.vector, limit + len(hidden))
        shown = neighbours.keep(~np.isin(neighbours.rows, hidden))
        return Neighbours(rows=shown.rows[:limit], scores=shown.scores[:limit])

    def _fill(self, found: Neighbours, hidden: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
        missing = limit - len(found.rows)
        return np.concatenate([found.rows, popular_rows(self.bundle.items, missing, hidden, found.rows)])
