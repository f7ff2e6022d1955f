"""Score: the ranker's logits for the candidates that the models chose."""

import logging
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ranking_service.ranker import OnnxRanker
from ranking_service.request import Request
from ranking_service.stages.retrieve import Found
from shortlist.bundle.bundle import Bundle
from shortlist.degraded import Degraded
from shortlist.inference.candidates import NO_CANDIDATES, Candidates
from shortlist.inference.live_items import LiveItems
from shortlist.observability import tracing
from shortlist.observability.throttled import Throttled

# A warning for each call would flood the log.
_THROTTLED = Throttled(logging.getLogger(__name__))
# With less than this left, ranking would answer too late.
_RANKING_SECONDS = 0.003


@dataclass(frozen=True, kw_only=True)
class Scored:
    """Candidates of a request in the order of retrieval, and the ranker's ``logits`` ``[n, objectives]`` of each.

    ``logits`` is None when the ranker did not run. ``others`` are candidates that the ranker does not score.
    ``degraded`` is the reason of this stage or the one before.
    """

    items: Candidates
    logits: NDArray[np.float32] | None = None
    others: Candidates = NO_CANDIDATES
    degraded: Degraded | None = None


class RankerFailed(Exception):  # noqa: N818 - an outcome that Recommend handles
    """The ranking network gave no usable scores."""


class ScoreStage:
    """Runs the ranker of one bundle."""

    def __init__(self, bundle: Bundle, live_items: LiveItems | None = None) -> None:
        self._ranker = OnnxRanker(bundle, live_items)

    def score(self, requests: Sequence[Request], found: Sequence[Found]) -> list[Scored]:
        """The logits of each request's candidates, or none and the reason."""
        with tracing.span("rank", links=[request.query.span for request in requests]):
            for request in requests:
                request.timeline.enter(Degraded.DEADLINE)
            return self._score_by_length(requests, found)

    def run(self, requests: Sequence[Request], found: Sequence[Found]) -> list[Scored]:
        """The logits of lists with equally many candidates that the models chose, in one run of the ranker.

        Raises:
            RankerFailed: a logit is not finite.
        """
        lists = [_from_model(one.retrieved.candidates) for one in found]
        vectors = [one.retrieved.vector for one in found if one.retrieved.vector is not None]
        contexts = [request.options.context for request in requests]
        logits = self._ranker.score([request.user for request in requests], lists, vectors, contexts)
        # Half the cost of ``all``, in every call.
        if np.count_nonzero(np.isfinite(logits)) < logits.size:
            raise RankerFailed("the ranking network answers with a number that is not finite")
        return [
            Scored(items=items, logits=of_list, others=_others(one.retrieved.candidates))
            for items, of_list, one in zip(lists, logits, found, strict=True)
        ]

    def _score_by_length(self, requests: Sequence[Request], found: Sequence[Found]) -> list[Scored]:
        results: dict[int, Scored] = {}
        # Lists of one length share a run of the model. Most often all lists have the same length.
        by_length = defaultdict[int, list[int]](list)
        for place, (request, one) in enumerate(zip(requests, found, strict=True)):
            candidates = one.retrieved.candidates
            if not is_scorable(request, candidates):
                results[place] = Scored(items=candidates, degraded=one.degraded)
            elif request.deadline - time.monotonic() < _RANKING_SECONDS:
                results[place] = Scored(items=candidates, degraded=Degraded.DEADLINE)
            else:
                by_length[int(np.count_nonzero(candidates.is_from_model))].append(place)
        for places in by_length.values():
            scored = self._run_guarded([requests[place] for place in places], [found[place] for place in places])
            results.update(zip(places, scored, strict=True))
        return [results[place] for place in range(len(requests))]

    def _run_guarded(self, requests: Sequence[Request], found: Sequence[Found]) -> list[Scored]:
        try:
            return self.run(requests, found)
        except Exception:
            if len(requests) > 1:
                # One request may be at fault, and only that one is to be degraded. Its own run logs the error.
                _THROTTLED.warning("ranking %d lists together failed; ranking each alone", len(requests), exc_info=True)
                pairs = zip(requests, found, strict=True)
                return [self._run_guarded([request], [one])[0] for request, one in pairs]
            _THROTTLED.error("ranking failed; answering in the order of retrieval", exc_info=True)
            return [Scored(items=found[0].retrieved.candidates, degraded=Degraded.RANKER_FAILED)]


def is_scorable(request: Request, candidates: Candidates) -> bool:
    """Whether the ranker adds anything: without a history it knows no more than retrieval does."""
    return len(request.user.history) > 0 and bool(candidates.is_from_model.any())


def _from_model(candidates: Candidates) -> Candidates:
    chosen = candidates.is_from_model
    return candidates if chosen.all() else candidates.keep(chosen)


def _others(candidates: Candidates) -> Candidates:
    chosen = candidates.is_from_model
    return NO_CANDIDATES if chosen.all() else candidates.keep(~chosen)
