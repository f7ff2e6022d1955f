"""The request path of retrieval, stage by stage, for a batch of queries at once."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from retrieval_service.index import FaissIndex
from retrieval_service.queries import Answer, IdQuery
from retrieval_service.visible_search import VisibleSearch
from shortlist.bundle.bundle import Bundle
from shortlist.bundle.history import EMPTY_HISTORY
from shortlist.inference.candidates import NO_CANDIDATES, Candidates
from shortlist.inference.hidden_rows import HiddenRows
from shortlist.inference.live_items import LiveItems
from shortlist.inference.popular import popular_rows
from shortlist.inference.retrieval import RetrievalQuery, Retrieved
from shortlist.inference.rows import is_among, union_of
from shortlist.inference.similar import mean_direction
from shortlist.inference.user_encoder import UserEncoder
from shortlist.inference.users import Unknown, excluded_rows, known_rows, resolve_user
from shortlist.live_histories.client import LiveClient
from shortlist.live_histories.stage import NOTHING_LIVE, Live, LiveStage, check_position
from shortlist.observability import metrics
from shortlist.serving.coalescing import Coalescer


class Retriever:
    """The first stage over one bundle.

    With a ``live`` service it knows the interactions since the bundle, and leaves out hidden items.
    """

    def __init__(self, bundle: Bundle, live: LiveClient | None = None) -> None:
        self.bundle = bundle
        self._live = LiveStage(bundle, live) if live else None
        self.live_items = live.live_items(bundle) if live else None
        """The items of the live catalogue that the bundle does not have."""
        self._hidden = _hidden_rows(bundle, live, self.live_items)
        self._items = bundle.items if self.live_items is None else self.live_items
        self.id_bytes_of = self._items.id_bytes_of
        """From rows ``[n]`` to ids."""
        self.encoder = UserEncoder(bundle)
        index = FaissIndex(bundle)
        self._index = VisibleSearch(index, self._hidden) if self._hidden else index
        self._no_features = np.zeros(bundle.users.features.shape[1], dtype=np.float32)
        self._coalescer = Coalescer(self.retrieve_rows)

    def retrieve(self, query: IdQuery, is_wanted: Callable[[], bool] = lambda: True) -> Answer:
        """(Live →) resolve → retrieve, each in a batch with other calls.

        Raises:
            InvalidRequest: there is no live service, and the query has a position.
            DeadlineExceeded: the query's deadline passed before the answer came.
            CallerGone: the answer is not wanted any more when its turn comes.
        """
        check_position(self._live, query.min_position)
        live = self._live.find_one(query, is_wanted) if self._live else NOTHING_LIVE
        in_rows, unknown = self._resolve(query, live)
        return _answer(self._coalescer(in_rows, query.deadline, is_wanted), unknown, live)

    def retrieve_many(self, queries: Sequence[IdQuery]) -> list[Answer]:
        """(Live →) resolve → retrieve, in a batch of these queries alone; as :meth:`retrieve` answers each.

        Raises:
            InvalidRequest: as for :meth:`retrieve`.
        """
        check_position(self._live, max(query.min_position for query in queries))
        live = self._live.find(queries) if self._live else [NOTHING_LIVE] * len(queries)
        resolved = [self._resolve(query, one) for query, one in zip(queries, live, strict=True)]
        found = self.retrieve_rows([in_rows for in_rows, _ in resolved])
        return [_answer(one, unknown, its) for one, (_, unknown), its in zip(found, resolved, live, strict=True)]

    def retrieve_rows(self, queries: Sequence[RetrievalQuery]) -> list[Retrieved]:
        """Encode → search → filter → fill: the candidates of each query."""
        vectors = self._encode(queries)
        found = self._filter(queries, self._search(queries, vectors))
        return [
            Retrieved(candidates=self._fill(query, candidates), vector=vector)
            for query, candidates, vector in zip(queries, found, vectors, strict=True)
        ]

    def _resolve(self, query: IdQuery, live: Live) -> tuple[RetrievalQuery, Unknown]:
        if query.similar_to:
            return self._resolve_similar(query)
        # First, since items may come meanwhile.
        live_count = len(self.live_items) if self.live_items else 0
        user = resolve_user(self.bundle, live.of(query.user), self.live_items)
        excluded, unknown = excluded_rows(
            self.bundle, user, query.exclude, keep_seen=query.keep_seen, live_items=self.live_items
        )
        in_rows = RetrievalQuery(
            history=user.history,
            excluded=excluded,
            limit=query.limit,
            user_features=self.encoder.features_of(user),
            live_count=live_count,
        )
        return in_rows, Unknown(items=unknown) + user.unknown

    def _resolve_similar(self, query: IdQuery) -> tuple[RetrievalQuery, Unknown]:
        live_count = len(self.live_items) if self.live_items else 0
        items, unknown = known_rows(self.bundle, query.similar_to, self.live_items)
        excluded, unknown_excluded = known_rows(self.bundle, query.exclude, self.live_items)
        in_rows = RetrievalQuery(
            history=EMPTY_HISTORY,
            excluded=union_of(items, excluded),
            limit=query.limit,
            vector=mean_direction(self._items, items) if len(items) else None,
            live_count=live_count,
        )
        return in_rows, Unknown(items=unknown + unknown_excluded)

    def _encode(self, queries: Sequence[RetrievalQuery]) -> list[NDArray[np.float32] | None]:
        """The vector ``[D]`` of each query; None where nothing is known of the user."""
        vectors = [query.vector for query in queries]
        users = [place for place, query in enumerate(queries) if query.vector is None]
        if users:
            features = [self._features(queries[place]) for place in users]
            encoded = self.encoder.vectors([queries[place].history for place in users], features)
            for place, vector in zip(users, encoded, strict=True):
                vectors[place] = vector
        return vectors

    def _features(self, query: RetrievalQuery) -> NDArray[np.float32]:
        return self._no_features if query.user_features is None else query.user_features

    def _search(
        self, queries: Sequence[RetrievalQuery], vectors: Sequence[NDArray[np.float32] | None]
    ) -> list[Candidates]:
        """The nearest items of each query: enough that the filter cannot leave fewer than the limit."""
        known = [place for place, vector in enumerate(vectors) if vector is not None]
        found = [NO_CANDIDATES] * len(queries)
        if known:
            counts = [queries[place].limit + len(queries[place].excluded) for place in known]
            targets = np.stack([vector for vector in vectors if vector is not None])
            with metrics.SEARCH_SECONDS.time():
                nearest = self._index.search_each(targets, counts)
            for place, candidates in zip(known, nearest, strict=True):
                found[place] = candidates
            if self.live_items:
                self._add_live([queries[place] for place in known], known, targets, counts, found)
        return found

    def _add_live(
        self,
        queries: Sequence[RetrievalQuery],
        places: Sequence[int],
        targets: NDArray[np.float32],
        counts: Sequence[int],
        found: list[Candidates],
    ) -> None:
        """Merges the live items into the candidates of the queries that may find them."""
        assert self.live_items is not None
        finding = [number for number, query in enumerate(queries) if query.live_count]
        if finding:
            of_index = [found[places[number]] for number in finding]
            merged = self.live_items.merged(of_index, targets[finding], [counts[number] for number in finding])
            for number, candidates in zip(finding, merged, strict=True):
                found[places[number]] = candidates

    def _filter(self, queries: Sequence[RetrievalQuery], found: Sequence[Candidates]) -> list[Candidates]:
        """The candidates that are not excluded and have a vector, cut to the limit."""
        return [
            self._with_vectors(candidates.keep(self._may_be_found(query, candidates.rows))).first(query.limit)
            for query, candidates in zip(queries, found, strict=True)
        ]

    def _may_be_found(self, query: RetrievalQuery, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of the rows ``[n]`` were known when the excluded ones were, and are not among them, ``[n]``."""
        return ~is_among(rows, query.excluded) & (rows < len(self.bundle.items.ids) + query.live_count)

    def _with_vectors(self, candidates: Candidates) -> Candidates:
        """Leaves out items whose vector is zero. They have score 0 for every user, so no model has chosen them."""
        if np.count_nonzero(candidates.scores) == len(candidates):
            return candidates
        # Live items without a vector are not found in the first place.
        unscored = (candidates.scores == 0) & (candidates.rows < len(self.bundle.items.ids))
        known = self.bundle.items.vectors.take(candidates.rows[unscored], axis=0).any(axis=1)
        return candidates.keep(np.isin(candidates.rows, candidates.rows[unscored][~known], invert=True))

    def _fill(self, query: RetrievalQuery, found: Candidates) -> Candidates:
        """The candidates, and popular items up to the limit."""
        metrics.CANDIDATES.observe(len(found))
        missing = query.limit - len(found)
        if not missing:
            return found
        popular = popular_rows(self.bundle.items, missing, query.excluded, found.rows, hidden=self._hidden)
        return found.then(Candidates.from_fallback(popular))


def _hidden_rows(bundle: Bundle, live: LiveClient | None, live_items: LiveItems | None) -> HiddenRows | None:
    if live_items is not None:
        return live_items.hidden
    return live.hidden_rows(bundle.items) if live else None


def _answer(retrieved: Retrieved, unknown: Unknown, live: Live) -> Answer:
    if live.degraded is not None:
        metrics.DEGRADED[live.degraded].inc()
    return Answer(retrieved=retrieved, unknown=unknown, live_position=live.position, degraded=live.degraded)
