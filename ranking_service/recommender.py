"""The request path of ranking, stage by stage; from retrieval on for a batch of requests at once."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ranking_service.answer import Answer
from ranking_service.queries import RankQuery, RecommendQuery
from ranking_service.request import Request
from ranking_service.retrieval import RetrievalClient
from ranking_service.stages.resolve import Resolver
from ranking_service.stages.retrieve import Found, RetrieveStage, retrieval_deadline
from ranking_service.stages.score import Scored, ScoreStage, is_scorable
from ranking_service.stages.select import select
from shortlist.bundle.bundle import Bundle
from shortlist.errors import DeadlineExceeded
from shortlist.inference.candidates import Candidates
from shortlist.inference.retrieval import Retrieved
from shortlist.inference.rows import is_among
from shortlist.inference.selection import best_first
from shortlist.inference.user_encoder import UserEncoder
from shortlist.serving.coalescing import Coalescer


class Recommender:
    """Both stages over one bundle."""

    def __init__(self, bundle: Bundle, retrieval: RetrievalClient) -> None:
        self.bundle = bundle
        self._encoder = UserEncoder(bundle)
        self._resolver = Resolver(bundle)
        self._retriever = RetrieveStage(bundle, retrieval, self._encoder)
        self._scorer = ScoreStage(bundle)
        self._coalescer = Coalescer(self._retrieve_to_answer)

    def recommend(self, query: RecommendQuery, is_wanted: Callable[[], bool] = lambda: True) -> Answer:
        """Resolve → retrieve → score → select → answer; popular items when no user is known or retrieval fails.

        Raises:
            InvalidRequest: the bundle has no such objective, other bounds, or another kind of context value.
            CallerGone: the answer is not wanted any more when its turn comes.
        """
        request = self._resolver.recommend(query)
        if not self._is_known(request):
            return _answer(request, _unscored(self._retriever.popular(request)))
        try:
            return self._coalescer(request, retrieval_deadline(request), is_wanted)
        except DeadlineExceeded:
            return _answer(request, _unscored(self._retriever.popular(request, request.timeline.blame())))

    def rank(self, query: RankQuery) -> Answer:
        """Resolve → look up the caller's candidates → score → select → answer; by popularity when no user is known.

        Raises:
            InvalidRequest: as for :meth:`recommend`.
        """
        request, rows = self._resolver.rank(query)
        found = self._look_up(request, rows)
        scorable = is_scorable(request, found.retrieved.candidates)
        return _answer(request, self._scorer.run([request], [found])[0] if scorable else _unscored(found))

    def _retrieve_to_answer(self, requests: Sequence[Request]) -> list[Answer]:
        found = self._retriever.retrieve(requests)
        scored = self._scorer.score(requests, found)
        return [_answer(request, one) for request, one in zip(requests, scored, strict=True)]

    def _is_known(self, request: Request) -> bool:
        return len(request.user.history) > 0 or self._encoder.features_of(request.user) is not None

    def _look_up(self, request: Request, rows: NDArray[np.int64]) -> Found:
        """The caller's candidates in their order, with retrieval scores; by those scores without a history."""
        if not self._is_known(request) or not len(rows):
            popular = self.bundle.items.popular
            by_popularity = popular[is_among(popular, np.sort(rows))].astype(np.int64)
            return Found(retrieved=Retrieved(candidates=Candidates.from_fallback(by_popularity), vector=None))
        vector = self._encoder.encode([request.user.history], request.user.features)[0]
        candidates = Candidates.from_model(rows, self.bundle.items.vectors[rows] @ vector)
        if not len(request.user.history):
            candidates = candidates.take(best_first(candidates.scores, len(rows)))
        return Found(retrieved=Retrieved(candidates=candidates, vector=vector))


def _unscored(found: Found) -> Scored:
    return Scored(items=found.retrieved.candidates, degraded=found.degraded)


def _answer(request: Request, scored: Scored) -> Answer:
    return Answer(ranked=select(request, scored), unknown=request.unknown, degraded=scored.degraded)
