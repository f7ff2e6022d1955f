"""The request path of retrieval, stage by stage, for a batch of queries at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval_service.index import FaissIndex, Neighbours
from shortlist.bundle.bundle import Bundle
from shortlist.bundle.history import EMPTY_HISTORY, History
from shortlist.inference.popular import popular_rows
from shortlist.inference.rows import is_among, union_of
from shortlist.inference.user_encoder import UserEncoder
from shortlist.inference.users import UserQuery, hidden_rows, known_rows, resolve_user
from shortlist.observability import metrics
from shortlist.serving.coalescing import Coalescer

_NOTHING = Neighbours(rows=np.zeros(0, dtype=np.int64), scores=np.zeros(0, dtype=np.float32))


@dataclass(frozen=True, kw_only=True)
class RetrievalQuery:
    """What to look for, in the caller's words: a user, or the neighbours of ``similar_to`` when that is not empty."""

    user: UserQuery
    similar_to: tuple[str, ...]
    limit: int
    exclude: tuple[str, ...]
    keep_seen: bool


@dataclass(frozen=True, kw_only=True)
class RowsQuery:
    """What to look for, in the bundle's rows.

    Searched near ``vector`` ``[dimension]`` when that is given, else near what the encoder makes of the history and of
    the user's ``features`` ``[U]``, which are None for a stranger; nobody is known when there is none of them.
    ``hidden`` are the rows, ascending, that may not be found.
    """

    history: History
    hidden: NDArray[np.int64]
    limit: int
    vector: NDArray[np.float32] | None = None
    features: NDArray[np.float32] | None = None


@dataclass(frozen=True, kw_only=True)
class Retrieved:
    """Candidates, best first: ``rows`` ``[found]``, of which the first ``len(scores)`` are the model's own.

    ``vector`` ``[dimension]`` is what was searched for; None when nobody is known.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    vector: NDArray[np.float32] | None


class Retriever:
    """Stage one over one bundle."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._encoder = UserEncoder(bundle)
        self._index = FaissIndex(bundle)
        self._stranger = np.zeros(bundle.users.features.shape[1], dtype=np.float32)
        self._together = Coalescer(self.retrieve_rows)

    def retrieve(
        self, query: RetrievalQuery, deadline: float, is_wanted: Callable[[], bool] = lambda: True
    ) -> tuple[Retrieved, int]:
        """Resolve → retrieve, together with whoever asks at the same moment; also how many of the ids are unknown.

        Raises as :class:`Coalescer` does for the ``deadline`` and for who is not wanted any more.
        """
        in_rows, unknown = self._resolve(query)
        return self._together(in_rows, deadline, is_wanted), unknown

    def retrieve_rows(self, queries: Sequence[RowsQuery]) -> list[Retrieved]:
        """Encode → search → filter → cut → fill."""
        vectors = self._encode(queries)
        found = self._search(queries, vectors)
        return [self._fill(*of_query) for of_query in zip(queries, vectors, found, strict=True)]

    def _resolve(self, query: RetrievalQuery) -> tuple[RowsQuery, int]:
        if query.similar_to:
            return self._resolve_similar(query)
        user = resolve_user(self.bundle, query.user)
        hidden, unknown = hidden_rows(self.bundle, user, query.exclude, keep_seen=query.keep_seen)
        features = self._encoder.features_of(user)
        in_rows = RowsQuery(history=user.history, hidden=hidden, limit=query.limit, features=features)
        return in_rows, unknown + user.unknown_items

    def _resolve_similar(self, query: RetrievalQuery) -> tuple[RowsQuery, int]:
        known, unknown = known_rows(self.bundle, query.similar_to)
        excluded, unknown_excluded = known_rows(self.bundle, query.exclude)
        vector = self._mean_direction(known) if len(known) else None
        hidden = union_of(known, excluded)
        in_rows = RowsQuery(history=EMPTY_HISTORY, hidden=hidden, limit=query.limit, vector=vector)
        return in_rows, unknown + unknown_excluded

    def _mean_direction(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        # Of directions, since a basket's one popular item would outweigh the others by its length.
        vectors = self.bundle.items.vectors[rows]
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        mean: NDArray[np.float32] = (vectors / np.maximum(lengths, 1e-12)).mean(axis=0)
        return mean

    def _encode(self, queries: Sequence[RowsQuery]) -> list[NDArray[np.float32] | None]:
        vectors = [query.vector for query in queries]
        people = [place for place, query in enumerate(queries) if self._is_to_be_encoded(query)]
        if people:
            features = np.stack([self._features(queries[place]) for place in people])
            encoded = self._encoder.encode([queries[place].history for place in people], features)
            for place, vector in zip(people, encoded, strict=True):
                vectors[place] = vector
        return vectors

    def _is_to_be_encoded(self, query: RowsQuery) -> bool:
        described = query.features is not None and self._encoder.reads_features
        return query.vector is None and (len(query.history) > 0 or described)

    def _features(self, query: RowsQuery) -> NDArray[np.float32]:
        return self._stranger if query.features is None else query.features

    def _search(
        self, queries: Sequence[RowsQuery], vectors: Sequence[NDArray[np.float32] | None]
    ) -> Sequence[Neighbours]:
        known = [place for place, vector in enumerate(vectors) if vector is not None]
        found = [_NOTHING] * len(queries)
        if known:
            # Enough neighbours that the filter cannot leave fewer than the limit: cut after the filter, never before.
            counts = [queries[place].limit + len(queries[place].hidden) for place in known]
            targets = np.stack([vector for vector in vectors if vector is not None])
            with metrics.SEARCH_SECONDS.time():
                nearest = self._index.search_each(targets, counts)
            for place, neighbours in zip(known, nearest, strict=True):
                found[place] = _shown(neighbours, queries[place])
        return found

    def _fill(self, query: RowsQuery, vector: NDArray[np.float32] | None, found: Neighbours) -> Retrieved:
        missing = query.limit - len(found.rows)
        rows = found.rows
        metrics.CANDIDATES.observe(len(rows))
        if missing:
            rows = np.concatenate([rows, popular_rows(self.bundle.items, missing, query.hidden, rows)])
        return Retrieved(rows=rows, scores=found.scores, vector=vector)


def _shown(neighbours: Neighbours, query: RowsQuery) -> Neighbours:
    return neighbours.keep(~is_among(neighbours.rows, query.hidden)).first(query.limit)
