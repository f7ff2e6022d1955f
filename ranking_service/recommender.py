"""The request path of the one call, stage by stage; the middle of it for a batch of requests at once."""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto

import grpc
import numpy as np
from numpy.typing import NDArray
from opentelemetry.trace import SpanContext

from ranking_service.packing import Wanted
from ranking_service.ranker import Candidates, OnnxRanker
from ranking_service.retrieval import RetrievalClient, RetrievalFailed
from ranking_service.selection import best_first
from ranking_service.terms import Terms, TermsReader
from shortlist.bundle.bundle import Bundle
from shortlist.bundle.ids import rows_of
from shortlist.context import Context
from shortlist.errors import DeadlineExceeded
from shortlist.inference.popular import popular_rows
from shortlist.inference.rows import is_among
from shortlist.inference.score_fusion import ScoreFusion
from shortlist.inference.user_encoder import UserEncoder
from shortlist.inference.users import ResolvedUser, hidden_rows, resolve_user
from shortlist.observability import tracing
from shortlist.observability.logs import Throttled
from shortlist.serving.coalescing import Coalescer
from shortlist.serving.requests import MAX_LIMIT, read_user
from shortlist.type.v1.user_pb2 import User

# These can happen to every call.
_OFTEN = Throttled(logging.getLogger(__name__))
# What is kept of the deadline for ranking and for the way back: a share, since deadlines differ by magnitudes.
_RESERVED_SHARE = 0.25
_LONGEST_RETRIEVAL_SECONDS = 1.0
# One of a batch may be at fault, and only that one is to be worse off.
_FAULT_OF_ONE = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL}
# Less than this left and ranking would answer too late.
_RANKING_SECONDS = 0.003


class Degraded(Enum):
    """Why an answer is not what both stages together would have given."""

    RETRIEVAL_UNAVAILABLE = auto()
    RETRIEVAL_TIMEOUT = auto()
    BUNDLE_MISMATCH = auto()
    RANKER_FAILED = auto()
    DEADLINE = auto()


_REASONS = {
    grpc.StatusCode.DEADLINE_EXCEEDED: Degraded.RETRIEVAL_TIMEOUT,
    grpc.StatusCode.FAILED_PRECONDITION: Degraded.BUNDLE_MISMATCH,
}


@dataclass(frozen=True, kw_only=True)
class RecommendQuery:
    """Whom to recommend to, and how much; ``deadline`` is in the seconds of ``time.monotonic``.

    ``objective_weights`` has weights by the names of objectives, and is empty for the bundle's own; ``context`` is what
    the call says of itself.
    """

    user: User
    limit: int
    exclude: tuple[str, ...]
    candidates: int
    keep_seen: bool
    deadline: float
    objective_weights: Mapping[str, float] = field(default_factory=dict)
    context: Context = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RankQuery:
    """Whose candidates to rank, and how many of them to answer with; the rest as in :class:`RecommendQuery`."""

    user: User
    item_ids: tuple[str, ...]
    limit: int
    objective_weights: Mapping[str, float] = field(default_factory=dict)
    context: Context = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Unknown:
    """How many of the names in a request the bundle does not know: ids of items, and names in the context."""

    items: int
    context: int


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """A list, best first: ``rows`` ``[found]``, of which the first ``len(retrieval_scores)`` are the models' choice.

    ``scores`` ``[chosen]`` are what they are in the order of; ``objectives`` ``[scored, objectives]``, what is
    predicted of each, is empty when the ranker did not run; ``degraded`` says why.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    retrieval_scores: NDArray[np.float32]
    objectives: NDArray[np.float32]
    unknown: Unknown
    degraded: Degraded | None = None


@dataclass(frozen=True, kw_only=True)
class _Request:
    """A query in the bundle's rows."""

    user: ResolvedUser
    hidden: NDArray[np.int64]
    limit: int
    candidates: int
    terms: Terms
    unknown: Unknown
    deadline: float
    # The span that the request came in, since another's thread may do its work.
    span: SpanContext | None


class Recommender:
    """Both stages over one bundle."""

    def __init__(self, bundle: Bundle, retrieval: RetrievalClient) -> None:
        self.bundle = bundle
        self._retrieval = retrieval
        self._encoder = UserEncoder(bundle)
        self._ranker = OnnxRanker(bundle)
        self._terms = TermsReader(bundle.manifest)
        self._together = Coalescer(self._retrieve_and_rank)

    def recommend(self, query: RecommendQuery, is_wanted: Callable[[], bool] = lambda: True) -> Ranked:
        """Resolve → retrieve → rank → select; popular items when nobody is known or retrieval is gone.

        Raises:
            InvalidRequest: the bundle cannot order so, or takes no such context.
            CallerGone: the answer is not wanted any more by the time that it would be made.
        """
        request = self._resolve(query)
        if not self._is_known(request.user):
            return self._popular(request)
        try:
            return self._together(request, _for_retrieval(request.deadline), is_wanted)
        except DeadlineExceeded:
            return self._popular(request, Degraded.RETRIEVAL_TIMEOUT)

    def rank(self, query: RankQuery) -> Ranked:
        """The caller's candidates, in the order of the ranker; by popularity when nobody is known.

        Raises:
            InvalidRequest: the bundle cannot order so, or takes no such context.
        """
        terms = self._terms.read(query.objective_weights, query.context)
        user = resolve_user(self.bundle, read_user(query.user))
        found = rows_of(self.bundle.items.ids, query.item_ids)
        missing = int(np.count_nonzero(found < 0))
        unknown = Unknown(items=user.unknown_items + missing, context=terms.unknown_context)
        rows = np.array(list(dict.fromkeys(found[found >= 0].tolist())), dtype=np.int64)
        if not self._is_known(user) or not len(rows):
            popular = self.bundle.items.popular
            return _unscored(popular[is_among(popular, np.sort(rows))][: query.limit].astype(np.int64), unknown)
        vector = self._encoder.encode([user.history], user.features)[0]
        candidates = Candidates(rows=rows, scores=self.bundle.items.vectors[rows] @ vector, user_vector=vector)
        if not len(user.history):
            return _by_retrieval_score(candidates, query.limit, unknown)
        columns = self._ranker.score([user], [candidates], [terms.context])[0]
        return _selected(candidates, columns, terms.fusion, query.limit, unknown)

    def _resolve(self, query: RecommendQuery) -> _Request:
        terms = self._terms.read(query.objective_weights, query.context)
        user = resolve_user(self.bundle, read_user(query.user))
        hidden, excluded = hidden_rows(self.bundle, user, query.exclude, keep_seen=query.keep_seen)
        candidates = query.candidates or self.bundle.manifest.candidate_count
        return _Request(
            user=user,
            hidden=hidden,
            limit=query.limit,
            candidates=min(max(candidates, query.limit), MAX_LIMIT),
            terms=terms,
            unknown=Unknown(items=user.unknown_items + excluded, context=terms.unknown_context),
            deadline=query.deadline,
            span=tracing.capture(),
        )

    def _is_known(self, user: ResolvedUser) -> bool:
        return len(user.history) > 0 or self._encoder.features_of(user) is not None

    def _retrieve_and_rank(self, requests: Sequence[_Request]) -> list[Ranked]:
        wanted = [
            Wanted(
                history=request.user.history,
                hidden=request.hidden,
                limit=request.candidates,
                features=self._encoder.features_of(request.user),
            )
            for request in requests
        ]
        spans = [request.span for request in requests]
        try:
            # Whose deadline is nearer stops waiting by themselves.
            latest = min(max(_for_retrieval(request.deadline) for request in requests), _longest_wait())
            with tracing.span("retrieve", links=spans):
                found = self._retrieval.retrieve(self.bundle, wanted, max(latest - time.monotonic(), 0.0))
        except RetrievalFailed as failure:
            if len(requests) > 1 and failure.code in _FAULT_OF_ONE:
                return [self._retrieve_and_rank([request])[0] for request in requests]
            reason = _REASONS.get(failure.code, Degraded.RETRIEVAL_UNAVAILABLE)
            _OFTEN.warning("retrieval failed: %s", failure)
            return [self._popular(request, reason) for request in requests]
        with tracing.span("rank", links=spans):
            return self._rank(requests, found)

    def _rank(self, requests: Sequence[_Request], found: Sequence[Candidates]) -> list[Ranked]:
        answers: dict[int, Ranked] = {}
        # Lists of one length are one run of the model; most often all are.
        by_length = defaultdict[int, list[int]](list)
        for place, (request, candidates) in enumerate(zip(requests, found, strict=True)):
            if not len(candidates.scores) or not len(request.user.history):
                # Without a history the ranker knows nothing that retrieval does not.
                answers[place] = _in_order_of_retrieval(request, candidates)
            elif request.deadline - time.monotonic() < _RANKING_SECONDS:
                answers[place] = _in_order_of_retrieval(request, candidates, Degraded.DEADLINE)
            else:
                by_length[len(candidates.scores)].append(place)
        for places in by_length.values():
            ranked = self._score([requests[place] for place in places], [found[place] for place in places])
            answers.update(zip(places, ranked, strict=True))
        return [answers[place] for place in range(len(requests))]

    def _score(self, requests: Sequence[_Request], found: Sequence[Candidates]) -> list[Ranked]:
        try:
            contexts = [request.terms.context for request in requests]
            columns = self._ranker.score([request.user for request in requests], found, contexts)
        except Exception:
            if len(requests) > 1:
                # One of them is at fault, and only that one is to be degraded; which one, its own run logs.
                _OFTEN.warning("ranking %d lists together failed, ranking each alone", len(requests), exc_info=True)
                return [self._score([request], [one])[0] for request, one in zip(requests, found, strict=True)]
            _OFTEN.error("ranking failed, answering in the order of retrieval", exc_info=True)
            return [_in_order_of_retrieval(requests[0], found[0], Degraded.RANKER_FAILED)]
        return [
            _selected(one, of_one, request.terms.fusion, request.limit, request.unknown)
            for request, one, of_one in zip(requests, found, columns, strict=True)
        ]

    def _popular(self, request: _Request, degraded: Degraded | None = None) -> Ranked:
        rows = popular_rows(self.bundle.items, request.limit, request.hidden)
        return replace(_unscored(rows, request.unknown), degraded=degraded)


def _longest_wait() -> float:
    # Others wait for this batch: one caller with all the time in the world must not make a stage that hangs theirs.
    return time.monotonic() + _LONGEST_RETRIEVAL_SECONDS


def _for_retrieval(deadline: float) -> float:
    """Until when to wait for retrieval, of a request whose time ends at ``deadline``."""
    now = time.monotonic()
    return now + (deadline - now) * (1 - _RESERVED_SHARE)


def _selected(
    candidates: Candidates, columns: NDArray[np.float32], fusion: ScoreFusion, limit: int, unknown: Unknown
) -> Ranked:
    keys = fusion.keys(columns)
    best = best_first(keys, limit)
    predictions = fusion.predictions(columns[best])
    return Ranked(
        rows=np.concatenate([candidates.rows[best], candidates.rows[len(candidates.scores) :]])[:limit],
        scores=fusion.scores(keys[best], predictions),
        retrieval_scores=candidates.scores[best],
        objectives=predictions,
        unknown=unknown,
    )


def _in_order_of_retrieval(request: _Request, candidates: Candidates, degraded: Degraded | None = None) -> Ranked:
    limit = request.limit
    return replace(_unranked(candidates.rows[:limit], candidates.scores[:limit], request.unknown), degraded=degraded)


def _by_retrieval_score(candidates: Candidates, limit: int, unknown: Unknown) -> Ranked:
    best = best_first(candidates.scores, limit)
    return _unranked(candidates.rows[best], candidates.scores[best], unknown)


def _unscored(rows: NDArray[np.int64], unknown: Unknown) -> Ranked:
    return _unranked(rows, np.zeros(0, dtype=np.float32), unknown)


def _unranked(rows: NDArray[np.int64], scores: NDArray[np.float32], unknown: Unknown) -> Ranked:
    nothing = np.zeros(0, dtype=np.float32)
    return Ranked(rows=rows, scores=scores, retrieval_scores=scores, objectives=nothing, unknown=unknown)
