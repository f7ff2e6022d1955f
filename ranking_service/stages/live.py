"""Live: the interactions since the bundle, from the live service; none, and the reason, when it gives none."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from ranking_service.live import LiveClient, LiveFailed
from ranking_service.queries import RankQuery, RecommendQuery
from shortlist.bundle.bundle import Bundle
from shortlist.degraded import Degraded
from shortlist.inference.users import NO_INTERACTIONS, IdHistory
from shortlist.observability import tracing
from shortlist.observability.logs import Throttled

# A warning for each call would flood the log.
_THROTTLED = Throttled(logging.getLogger(__name__))
# The stages after this one need the rest of the deadline.
_SHARE = 0.2
# Other requests wait for this batch. A caller with a long deadline must not make them wait for a service that hangs.
_LONGEST_SECONDS = 0.25


@dataclass(frozen=True, kw_only=True)
class Live:
    """The interactions of a user since the bundle, as of ``position``; 0, and the reason, where they are missing."""

    recorded: IdHistory = NO_INTERACTIONS
    position: int = 0
    degraded: Degraded | None = None


NOTHING_LIVE = Live()
_UNAVAILABLE = Live(degraded=Degraded.HISTORY_UNAVAILABLE)


class LiveStage:
    """Calls the live service for one bundle."""

    def __init__(self, bundle: Bundle, client: LiveClient) -> None:
        self._known_until, self._client = bundle.manifest.known_until, client

    def find(self, queries: Sequence[RecommendQuery | RankQuery]) -> list[Live]:
        """The live history of each query's user, in one call. Nothing is live of a query without a user id."""
        named = [query for query in queries if query.user.user_id]
        if not named:
            return [NOTHING_LIVE] * len(queries)
        ids = [query.user.user_id for query in named]
        try:
            with tracing.span("live"):
                found = self._client.histories(ids, self._known_until, _seconds(named))
        except LiveFailed as failure:
            _THROTTLED.warning("live histories are missing: %s", failure)
            return [_UNAVAILABLE if query.user.user_id else NOTHING_LIVE for query in queries]
        histories = iter(found.histories)
        return [
            _live(next(histories), found.position, query.min_position) if query.user.user_id else NOTHING_LIVE
            for query in queries
        ]


def _live(recorded: IdHistory, position: int, min_position: int) -> Live:
    degraded = Degraded.HISTORY_UNAVAILABLE if position < min_position else None
    return Live(recorded=recorded, position=position, degraded=degraded)


def _seconds(queries: Sequence[RecommendQuery | RankQuery]) -> float:
    left = max(query.deadline for query in queries) - time.monotonic()
    return max(0.0, min(left * _SHARE, _LONGEST_SECONDS))
