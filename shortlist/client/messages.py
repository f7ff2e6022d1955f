"""The caller's dataclasses, and their messages."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from shortlist.context import Context
from shortlist.degraded import degraded_name
from shortlist.ranking.v1 import ranking_service_pb2 as pb
from shortlist.type.v1.context_pb2 import ContextValue
from shortlist.type.v1.source_pb2 import SOURCE_MODEL
from shortlist.type.v1.user_pb2 import HistoryItem as HistoryMessage
from shortlist.type.v1.user_pb2 import User


@dataclass(frozen=True, kw_only=True)
class HistoryItem:
    """One interaction of a user with an item.

    ``time`` is when it happened; a time without a zone is UTC. ``event`` is its kind, named as in the training data.
    ``value`` is a rating, seconds watched or the like, in the unit of the training data.
    """

    item_id: str
    time: datetime | None = None
    event: str = ""
    value: float | None = None


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """One item of a list.

    ``score`` sorts the list, higher is better. ``objectives`` are the ranker's predictions by name: a
    probability for an event, a number in its own unit for a value. ``source`` is "model" for an item that the models
    chose, "fallback" for a popular item, which has no scores.
    """

    item_id: str
    score: float
    objectives: Mapping[str, float]
    retrieval_score: float
    source: str


@dataclass(frozen=True, kw_only=True)
class Recommendations:
    """A list, best first, and the bundle that made it.

    ``asked`` and ``found`` count items; fewer are found when the catalogue has no more that may be in the list.
    ``unknown_items`` counts ids sent that the bundle does not know, ``unknown_context`` names in the context.
    ``degraded`` is why the list is less than both stages give, such as "retrieval_timeout"; None when it is not.
    """

    bundle_id: str
    items: Sequence[Recommendation]
    asked: int
    found: int
    unknown_items: int
    unknown_context: int
    degraded: str | None


def user_message(user_id: str, history: Iterable[HistoryItem | str]) -> User:
    """The user. Plain ids in the history have no times and are oldest first."""
    return User(user_id=user_id, history=[_history_message(item) for item in history])


def context_message(context: Context | None) -> dict[str, ContextValue]:
    """The values that describe the call, by name."""
    return {
        name: ContextValue(text=value) if isinstance(value, str) else ContextValue(number=value)
        for name, value in (context or {}).items()
    }


def read_recommendations(response: pb.RecommendResponse | pb.RankResponse) -> Recommendations:
    """The answer in the caller's dataclasses."""
    return Recommendations(
        bundle_id=response.bundle_id,
        items=tuple(_recommendation(item, response.objectives) for item in response.items),
        asked=response.asked_count,
        found=response.found_count,
        unknown_items=response.unknown_item_count,
        unknown_context=response.unknown_context_count,
        degraded=_degraded_name(response),
    )


def _history_message(item: HistoryItem | str) -> HistoryMessage:
    if isinstance(item, str):
        return HistoryMessage(item_id=item)
    time = None
    if item.time is not None:
        time = Timestamp()
        time.FromDatetime(item.time)
    return HistoryMessage(item_id=item.item_id, time=time, event=item.event, value=item.value)


def _degraded_name(response: pb.RecommendResponse | pb.RankResponse) -> str | None:
    if isinstance(response, pb.RecommendResponse) and response.degraded:
        return degraded_name(response.degraded_reason) or "unknown"
    return None


def _recommendation(item: pb.ScoredItem, objectives: Sequence[str]) -> Recommendation:
    return Recommendation(
        item_id=item.item_id,
        score=item.score,
        objectives=dict(zip(objectives, item.objective_scores, strict=False)),
        retrieval_score=item.retrieval_score,
        source="model" if item.source == SOURCE_MODEL else "fallback",
    )
