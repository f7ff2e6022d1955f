"""Queries in the caller's ids."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from opentelemetry.trace import SpanContext

from ranking_service.timeline import Timeline
from shortlist.context import Context
from shortlist.inference.users import UserQuery
from shortlist.live_histories.stage import NOTHING_LIVE, Live
from shortlist.observability import tracing


@dataclass(frozen=True, kw_only=True)
class RecommendQuery:
    """A user to recommend items to, and how many; ``deadline`` is in the seconds of ``time.monotonic``.

    ``exclude`` are ids that may not be in the answer; ``keep_seen`` lets items of the history be in it.
    ``candidate_count`` is how many candidates to retrieve, 0 for the bundle's own number. ``objective_weights`` are
    weights by objective name, empty for the bundle's own; ``context`` has the values that describe the call.
    ``min_position`` is the position that the live history must have; 0 is any. ``live`` is the live history that the
    caller gives; ``NOTHING_LIVE`` itself leaves it to the live service. ``timeline`` began with the call. ``span`` is
    the trace that the query came in, which another query's thread links to.
    """

    user: UserQuery
    limit: int
    exclude: tuple[str, ...] = ()
    candidate_count: int = 0
    keep_seen: bool = False
    deadline: float
    objective_weights: Mapping[str, float] = field(default_factory=dict)
    context: Context = field(default_factory=dict)
    min_position: int = 0
    live: Live = NOTHING_LIVE
    timeline: Timeline = field(default_factory=Timeline)
    span: SpanContext | None = field(default_factory=tracing.capture)


@dataclass(frozen=True, kw_only=True)
class RankQuery:
    """A user, the candidates to rank for them, best first, and how many to answer with.

    The rest is as in :class:`RecommendQuery`.
    """

    user: UserQuery
    item_ids: tuple[str, ...]
    limit: int
    deadline: float = float("inf")
    objective_weights: Mapping[str, float] = field(default_factory=dict)
    context: Context = field(default_factory=dict)
    min_position: int = 0
    live: Live = NOTHING_LIVE
    span: SpanContext | None = field(default_factory=tracing.capture)


@dataclass(frozen=True, kw_only=True)
class SimilarQuery:
    """The items to find others for, and how many; the rest as in :class:`RecommendQuery`.

    ``event`` is one of the bundle's liked events, or empty for interactions of any kind.
    """

    item_ids: tuple[str, ...]
    limit: int
    exclude: tuple[str, ...] = ()
    event: str = ""
    deadline: float
    timeline: Timeline = field(default_factory=Timeline)
