"""The request path of ranking, stage by stage; from retrieval on for a batch of requests at once."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ranking_service.answer import Answer
from ranking_service.options import RankingOptions
from ranking_service.queries import RankQuery, RecommendQuery, SimilarQuery
from ranking_service.request import Request
from ranking_service.retrieval import RetrievalClient
from ranking_service.stages.hide import without_hidden
from ranking_service.stages.resolve import Resolver
from ranking_service.stages.retrieve import Found, RetrieveStage, retrieval_deadline
from ranking_service.stages.score import Scored, ScoreStage, is_scorable
from ranking_service.stages.select import select
from ranking_service.stages.similar import SimilarStage
from shortlist.bundle.bundle import Bundle
from shortlist.degraded import Degraded
from shortlist.errors import DeadlineExceeded
from shortlist.inference.candidates import Candidates
from shortlist.inference.hidden_rows import HiddenRows
from shortlist.inference.live_items import LiveItems
from shortlist.inference.popular import PopularityRanks
from shortlist.inference.retrieval import Retrieved
from shortlist.inference.selection import best_first
from shortlist.inference.user_encoder import UserEncoder, are_usable
from shortlist.live_histories.client import LiveClient
from shortlist.live_histories.stage import NOTHING_LIVE, Live, LiveStage, check_position
from shortlist.serving.coalescing import Coalescer


class _Asked(NamedTuple):
    """A query whose options fit the bundle, before it is resolved."""

    query: RecommendQuery
    options: RankingOptions


class Recommender:
    """Both stages over one bundle.

    With a ``live`` service they know the interactions since the bundle, and leave out hidden items.
    """

    def __init__(self, bundle: Bundle, retrieval: RetrievalClient, live: LiveClient | None = None) -> None:
        self.bundle = bundle
        self._live = LiveStage(bundle, live) if live else None
        self.encoder = UserEncoder(bundle)
        self._popularity = PopularityRanks(bundle.items)
        live_items = live.live_items(bundle) if live else None
        self._resolver = Resolver(bundle, live_items)
        self._hidden = _hidden_rows(bundle, live, live_items)
        tables = bundle.items if live_items is None else live_items
        self.id_bytes_of, self._vectors_of = tables.id_bytes_of, tables.vectors_of
        self._retriever = RetrieveStage(bundle, retrieval, self.encoder, self._hidden, live_items)
        self._scorer = ScoreStage(bundle, live_items)
        self._similar = SimilarStage(bundle, self._retriever, self._hidden, live_items)
        self._coalescer = Coalescer(self._retrieve_to_answer)
        self._live_coalescer = Coalescer(self._live_to_answer)

    @property
    def is_live(self) -> bool:
        """Whether answers know the interactions since the bundle."""
        return self._live is not None

    def recommend(self, query: RecommendQuery, is_wanted: Callable[[], bool] = lambda: True) -> Answer:
        """(Live →) resolve → retrieve → score → hide → select; popular items when no user is known or retrieval fails.

        Raises:
            InvalidRequest: the bundle has no such objective, other bounds, or another kind of context value. There is
                no live service, and the query has a position.
            CallerGone: the answer is not wanted any more when its turn comes.
        """
        self._check_position(query)
        asked = _Asked(query, self._resolver.options(query))
        if self.is_live and query.user.user_id:
            try:
                return self._live_coalescer(asked, retrieval_deadline(query), is_wanted)
            except DeadlineExceeded:
                return self._popular(self._resolved(asked), query.timeline.blame())
        request = self._resolved(asked)
        if not self._is_known(request):
            return self._popular(request)
        try:
            return self._coalescer(request, retrieval_deadline(query), is_wanted)
        except DeadlineExceeded:
            return self._popular(request, query.timeline.blame())

    def rank(self, query: RankQuery) -> Answer:
        """Resolve → hide → look up the caller's candidates → score → select; by popularity when no user is known.

        Raises:
            InvalidRequest: as for :meth:`recommend`.
        """
        self._check_position(query)
        request, rows = self._resolver.rank(query, self._find_live([query])[0])
        shown = rows if self._hidden is None else self._hidden.shown(rows)
        found = self._look_up(request, shown)
        scorable = is_scorable(request, found.retrieved.candidates)
        answer = self._answer(request, self._scorer.run([request], [found])[0] if scorable else _unscored(found))
        return replace(answer, hidden=len(rows) - len(shown))

    def similar(self, query: SimilarQuery) -> Answer:
        """The items that go best with others; see :class:`SimilarStage`.

        Raises:
            InvalidRequest: the event is none of the bundle's liked events.
        """
        return self._similar.answer(query)

    def logits(self, queries: Sequence[RankQuery]) -> list[NDArray[np.float32]]:
        """The ranker's output ``[n, objectives]`` for each query, in one run; all have equally many candidates."""
        pairs = [self._resolver.rank(query) for query in queries]
        found = [self._look_up(request, rows) for request, rows in pairs]
        scored = self._scorer.run([request for request, _ in pairs], found)
        return [one.logits for one in scored if one.logits is not None]

    def _retrieve_to_answer(self, requests: Sequence[Request]) -> list[Answer]:
        found = self._retriever.retrieve(requests)
        scored = self._scorer.score(requests, found)
        return [self._answer(request, one) for request, one in zip(requests, scored, strict=True)]

    def _live_to_answer(self, asked: Sequence[_Asked]) -> list[Answer]:
        """The same after the live histories, which may tell of users that the bundle does not know."""
        for one in asked:
            one.query.timeline.enter(Degraded.HISTORY_UNAVAILABLE)
        live = self._find_live([one.query for one in asked])
        requests = [self._resolver.recommend(*one, its) for one, its in zip(asked, live, strict=True)]
        known = [self._is_known(request) for request in requests]
        answers = iter(self._retrieve_to_answer([*itertools.compress(requests, known)]) if any(known) else ())
        pairs = zip(requests, known, strict=True)
        return [next(answers) if is_known else self._popular(request) for request, is_known in pairs]

    def _resolved(self, asked: _Asked) -> Request:
        """The request before an answer of the live service."""
        return self._resolver.recommend(*asked, self._unasked(asked.query))

    def _find_live(self, queries: Sequence[RecommendQuery | RankQuery]) -> list[Live]:
        """The live history of each query's user: the one that the query brings, else that of the live service."""
        asking = [query for query in queries if query.live is NOTHING_LIVE]
        found = iter(self._live.find(asking) if self._live else [NOTHING_LIVE] * len(asking))
        return [next(found) if query.live is NOTHING_LIVE else self._unasked(query) for query in queries]

    def _unasked(self, query: RecommendQuery | RankQuery) -> Live:
        """The live history of a query before the live service is called. No query brings a forgotten user back."""
        if self._live is None:
            return query.live
        known = self._live.unasked(query.user)
        return replace(query.live, is_forgotten=True) if known.is_forgotten else query.live

    def _check_position(self, query: RecommendQuery | RankQuery) -> None:
        if query.live is NOTHING_LIVE:
            check_position(self._live, query.min_position)

    def _popular(self, request: Request, degraded: Degraded | None = None) -> Answer:
        return self._answer(request, _unscored(self._retriever.popular(request, degraded)))

    def _answer(self, request: Request, scored: Scored) -> Answer:
        return Answer(
            ranked=select(request, without_hidden(scored, self._hidden)),
            unknown=request.unknown,
            degraded=scored.degraded or request.live.degraded,
            live=request.live,
        )

    def _is_known(self, request: Request) -> bool:
        return len(request.user.history) > 0 or self.encoder.features_of(request.user) is not None

    def _look_up(self, request: Request, rows: NDArray[np.int64]) -> Found:
        """The caller's candidates in their order, with retrieval scores; by those scores without a history."""
        vector = self._vector(request) if self._is_known(request) and len(rows) else None
        if vector is None:
            candidates = Candidates.from_fallback(self._popularity.most_popular_first(rows))
            return Found(retrieved=Retrieved(candidates=candidates, vector=None))
        candidates = Candidates.from_model(rows, self._vectors_of(rows) @ vector)
        if not len(request.user.history):
            candidates = candidates.take(best_first(candidates.scores, len(rows)))
        return Found(retrieved=Retrieved(candidates=candidates, vector=vector))

    def _vector(self, request: Request) -> NDArray[np.float32] | None:
        """The user vector ``[D]``; None where nothing can be made of it.

        Zeros will do beside a history: the ranker reads other columns as well, and some bundles have a ranker alone.
        """
        vector = self.encoder.encode([request.user.history], request.user.features)[0]
        zeros_do = len(request.user.history) > 0 and not vector.any()
        return vector if zeros_do or are_usable(vector[None, :])[0] else None


def _hidden_rows(bundle: Bundle, live: LiveClient | None, live_items: LiveItems | None) -> HiddenRows | None:
    if live_items is not None:
        return live_items.hidden
    return live.hidden_rows(bundle.items) if live else None


def _unscored(found: Found) -> Scored:
    return Scored(items=found.retrieved.candidates, degraded=found.degraded)
