"""Retrieve: the candidates of each request, from the retrieval service; popular items when it gives none."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from ranking_service.queries import RecommendQuery, SimilarQuery
from ranking_service.request import Request
from ranking_service.retrieval import RetrievalClient, RetrievalFailed
from shortlist.bundle.bundle import Bundle
from shortlist.degraded import Degraded
from shortlist.inference.candidates import NO_CANDIDATES, Candidates
from shortlist.inference.hidden_rows import HiddenRows
from shortlist.inference.live_items import LiveItems
from shortlist.inference.popular import popular_rows
from shortlist.inference.retrieval import RetrievalQuery, Retrieved
from shortlist.inference.user_encoder import UserEncoder
from shortlist.observability import tracing
from shortlist.observability.throttled import Throttled

# A warning for each call would flood the log.
_THROTTLED = Throttled(logging.getLogger(__name__))
# This share of the time left is kept for ranking and the way back. A share, because deadlines differ by magnitudes.
_RESERVED_SHARE = 0.25
_LONGEST_RETRIEVAL_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Found:
    """The candidates of a request, and why they are popular items instead; None when they are not."""

    retrieved: Retrieved
    degraded: Degraded | None = None


class RetrieveStage:
    """Calls the retrieval service for one bundle. Popular items in its place leave out the ``hidden`` ones."""

    def __init__(
        self,
        bundle: Bundle,
        client: RetrievalClient,
        encoder: UserEncoder,
        hidden: HiddenRows | None = None,
        live_items: LiveItems | None = None,
    ) -> None:
        self._bundle, self._client, self._encoder, self._hidden = bundle, client, encoder, hidden
        self._live_items = live_items

    def retrieve(self, requests: Sequence[Request]) -> list[Found]:
        """The candidates of each request, in one call."""
        for request in requests:
            request.timeline.enter(Degraded.RETRIEVAL_TIMEOUT)
        began = time.monotonic()
        try:
            with tracing.span("retrieve", links=[request.query.span for request in requests]):
                queries, seconds = [*map(self._query, requests)], _seconds(requests)
                results = self._client.retrieve(self._bundle, queries, seconds, self._live_items)
        except RetrievalFailed as failure:
            if len(requests) > 1 and failure.is_fault_of_one and _leaves_time_for_each(requests, began):
                # Only that request is to be degraded.
                return [self.retrieve([request])[0] for request in requests]
            _THROTTLED.warning("retrieval failed: %s", failure)
            return [self.popular(request, _reason(request, failure)) for request in requests]
        return [Found(retrieved=result) for result in results]

    def nearest(self, query: SimilarQuery, in_rows: RetrievalQuery) -> Found:
        """The items nearest to the vector of ``in_rows``; none, and the reason, when retrieval gives none."""
        query.timeline.enter(Degraded.RETRIEVAL_TIMEOUT)
        try:
            with tracing.span("retrieve"):
                [result] = self._client.retrieve(self._bundle, [in_rows], _seconds([query]), self._live_items)
        except RetrievalFailed as failure:
            _THROTTLED.warning("retrieval failed: %s", failure)
            none = Retrieved(candidates=NO_CANDIDATES, vector=in_rows.vector)
            return Found(retrieved=none, degraded=_reason(query, failure))
        return Found(retrieved=result)

    def popular(self, request: Request, degraded: Degraded | None = None) -> Found:
        """Popular items in place of candidates."""
        rows = popular_rows(self._bundle.items, request.limit, request.excluded, hidden=self._hidden)
        return Found(retrieved=Retrieved(candidates=Candidates.from_fallback(rows), vector=None), degraded=degraded)

    def _query(self, request: Request) -> RetrievalQuery:
        return RetrievalQuery(
            history=request.user.history,
            excluded=request.excluded,
            limit=request.candidate_count,
            user_features=self._encoder.features_of(request.user),
            live_count=request.live_count,
        )


def retrieval_deadline(request: Request | RecommendQuery | SimilarQuery) -> float:
    """The moment, in the seconds of ``time.monotonic``, until which a request may wait for its candidates."""
    now = time.monotonic()
    return now + (request.deadline - now) * (1 - _RESERVED_SHARE)


def _seconds(requests: Sequence[Request | SimilarQuery]) -> float:
    """The timeout of a call for these requests: the longest of theirs. A request with less stops waiting by itself."""
    latest = max(map(retrieval_deadline, requests)) - time.monotonic()
    # Other requests wait for this batch. A caller with a long deadline must not make them wait for a stage that hangs.
    return max(0.0, min(latest, _LONGEST_RETRIEVAL_SECONDS))


def _leaves_time_for_each(requests: Sequence[Request], began: float) -> bool:
    """Whether all requests are answered in time when each call takes as long as theirs together has since ``began``."""
    now = time.monotonic()
    return (now - began) * len(requests) < min(map(retrieval_deadline, requests)) - now


def _reason(request: Request | SimilarQuery, failure: RetrievalFailed) -> Degraded:
    # Retrieval had little time when the request had spent most of it in the queue.
    return request.timeline.blame() if failure.reason is Degraded.RETRIEVAL_TIMEOUT else failure.reason
