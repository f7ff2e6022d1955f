"""The request path of the one call, stage by stage."""

import logging
import time
from dataclasses import dataclass, replace
from enum import Enum, auto

import grpc
import numpy as np
from numpy.typing import NDArray

from ranking_service.ranker import OnnxRanker
from ranking_service.retrieval import Candidates, RetrievalClient, RetrievalFailed
from ranking_service.selection import best_first
from shortlist.bundle.bundle import Bundle
from shortlist.bundle.ids import rows_of
from shortlist.popular import popular_rows
from shortlist.requests import MAX_LIMIT, read_user
from shortlist.type.v1.user_pb2 import User
from shortlist.user_encoder import UserEncoder
from shortlist.users import ResolvedUser, resolve_user

_LOG = logging.getLogger(__name__)
# What is kept of the deadline for ranking and for the way back: a share, since deadlines differ by magnitudes.
_RESERVED_SHARE = 0.25
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
    """Whom to recommend to, and how much; ``deadline`` is in the seconds of ``time.monotonic``."""

    user: User
    limit: int
    exclude: tuple[str, ...]
    candidates: int
    keep_seen: bool
    deadline: float


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """A list, best first: ``rows`` ``[found]``, of which the first ``len(retrieval_scores)`` are the models' choice.

    ``heads`` ``[scored, heads]`` is empty when the ranker did not run; ``degraded`` says why.
    """

    rows: NDArray[np.int64]
    retrieval_scores: NDArray[np.float32]
    heads: NDArray[np.float32]
    unknown_items: int
    degraded: Degraded | None = None


class Recommender:
    """Both stages over one bundle."""

    def __init__(self, bundle: Bundle, retrieval: RetrievalClient) -> None:
        self.bundle = bundle
        self._retrieval = retrieval
        self._encoder = UserEncoder(bundle)
        self._ranker = OnnxRanker(bundle)

    def recommend(self, query: RecommendQuery) -> Ranked:
        """Resolve → retrieve → rank → select; popular items when nobody is known or retrieval is gone."""
        user = resolve_user(self.bundle, read_user(query.user))
        excluded = rows_of(self.bundle.items.ids, query.exclude)
        unknown = user.unknown_items + int(np.count_nonzero(excluded < 0))
        hidden = np.union1d(excluded[excluded >= 0], user.seen[:0] if query.keep_seen else user.seen)
        if not len(user.history):
            return self._popular(hidden, query.limit, unknown)
        try:
            candidates = self._retrieve(query)
        except RetrievalFailed as failure:
            _LOG.warning("retrieval failed, answering with popular items: %s", failure)
            reason = _REASONS.get(failure.code, Degraded.RETRIEVAL_UNAVAILABLE)
            return replace(self._popular(hidden, query.limit, unknown), degraded=reason)
        return self._rank_or_keep(user, candidates, query, unknown)

    def rank(self, user: User, item_ids: tuple[str, ...], limit: int) -> Ranked:
        """The caller's candidates, in the order of the ranker; by popularity when nobody is known."""
        resolved = resolve_user(self.bundle, read_user(user))
        found = rows_of(self.bundle.items.ids, item_ids)
        unknown = resolved.unknown_items + int(np.count_nonzero(found < 0))
        rows = np.array(list(dict.fromkeys(found[found >= 0].tolist())), dtype=np.int64)
        if not len(resolved.history) or not len(rows):
            by_popularity = self.bundle.items.popular[np.isin(self.bundle.items.popular, rows)]
            return _unscored(by_popularity[:limit].astype(np.int64), unknown)
        vector = self._encoder.encode(resolved.history)
        candidates = Candidates(rows=rows, scores=self.bundle.items.vectors[rows] @ vector, user_vector=vector)
        return self._order(resolved, candidates, limit, unknown)

    def _retrieve(self, query: RecommendQuery) -> Candidates:
        wanted = query.candidates or self.bundle.manifest.candidate_count
        left = query.deadline - time.monotonic()
        return self._retrieval.retrieve(
            query.user,
            min(max(wanted, query.limit), MAX_LIMIT),
            list(query.exclude),
            keep_seen=query.keep_seen,
            timeout=max(left * (1 - _RESERVED_SHARE), 0.0),
        )

    def _rank_or_keep(self, user: ResolvedUser, candidates: Candidates, query: RecommendQuery, unknown: int) -> Ranked:
        in_order = _in_order_of_retrieval(candidates, query.limit, unknown)
        if not len(candidates.scores):
            return in_order
        if query.deadline - time.monotonic() < _RANKING_SECONDS:
            return replace(in_order, degraded=Degraded.DEADLINE)
        try:
            return self._order(user, candidates, query.limit, unknown)
        except Exception:
            _LOG.exception("ranking failed, answering in the order of retrieval")
            return replace(in_order, degraded=Degraded.RANKER_FAILED)

    def _order(self, user: ResolvedUser, candidates: Candidates, limit: int, unknown: int) -> Ranked:
        chosen = len(candidates.scores)
        heads = self._ranker.score(user, candidates.user_vector, candidates.rows[:chosen], candidates.scores)
        best = best_first(heads[:, 0], limit)
        return Ranked(
            rows=np.concatenate([candidates.rows[best], candidates.rows[chosen:]])[:limit],
            retrieval_scores=candidates.scores[best],
            heads=heads[best],
            unknown_items=unknown,
        )

    def _popular(self, hidden: NDArray[np.int64], limit: int, unknown: int) -> Ranked:
        return _unscored(popular_rows(self.bundle.items, limit, hidden), unknown)


def _unscored(rows: NDArray[np.int64], unknown: int) -> Ranked:
    nothing = np.zeros(0, dtype=np.float32)
    return Ranked(rows=rows, retrieval_scores=nothing, heads=nothing, unknown_items=unknown)


def _in_order_of_retrieval(candidates: Candidates, limit: int, unknown: int) -> Ranked:
    return Ranked(
        rows=candidates.rows[:limit],
        retrieval_scores=candidates.scores[:limit],
        heads=np.zeros(0, dtype=np.float32),
        unknown_items=unknown,
    )
