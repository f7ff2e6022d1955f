"""What the clients say and hear: the caller's dataclasses, and their messages."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from shortlist.context import Context
from shortlist.ranking.v1 import ranking_service_pb2 as pb
from shortlist.type.v1.context_pb2 import ContextValue
from shortlist.type.v1.source_pb2 import SOURCE_MODEL
from shortlist.type.v1.user_pb2 import HistoryItem as HistoryMessage
from shortlist.type.v1.user_pb2 import User

_DEGRADED = {number: name.removeprefix("DEGRADED_REASON_").lower() for name, number in pb.DegradedReason.items()}


@dataclass(frozen=True, kw_only=True)
class HistoryItem:
    """One thing that a user did.

    ``time``: when; one without a zone is taken as UTC. ``event`` and ``value`` (a rating, seconds watched): in the
    words and the unit of the training data.
    """

    item_id: str
    time: datetime | None = None
    event: str = ""
    value: float | None = None


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """One item of a list.

    ``score`` is what the order is made by, higher is better; ``objectives`` is what the ranker predicts of each
    objective: of an event its probability, of a value the value; ``source`` is "model" for the models' choice,
    "fallback" for a popular item, which has no scores.
    """

    item_id: str
    score: float
    objectives: Mapping[str, float]
    retrieval_score: float
    source: str


@dataclass(frozen=True, kw_only=True)
class Recommendations:
    """A list, best first, and the bundle that made it.

    ``found`` is below ``asked`` when the catalogue has no more that may be shown. ``unknown_items`` counts the ids sent
    that the bundle does not know, ``unknown_context`` the names in the context. ``degraded`` says why a stage was left
    out ("retrieval_timeout"), None when none was.
    """

    bundle_id: str
    items: Sequence[Recommendation]
    asked: int
    found: int
    unknown_items: int
    unknown_context: int
    degraded: str | None


def user_message(user_id: str, history: Iterable[HistoryItem | str]) -> User:
    """The person; a history of plain ids is one without times, oldest first."""
    return User(user_id=user_id, history=[_history_message(item) for item in history])


def context_message(context: Context | None) -> dict[str, ContextValue]:
    """What the call says of itself."""
    return {
        name: ContextValue(text=value) if isinstance(value, str) else ContextValue(number=value)
        for name, value in (context or {}).items()
    }


def read_recommendations(response: pb.RecommendResponse | pb.RankResponse) -> Recommendations:
    """The caller's form of an answer."""
    return Recommendations(
        bundle_id=response.bundle_id,
        items=tuple(_recommendation(item, response.objectives) for item in response.items),
        asked=response.asked_count,
        found=response.found_count,
        unknown_items=response.unknown_item_count,
        unknown_context=response.unknown_context_count,
        degraded=_degraded(response) if isinstance(response, pb.RecommendResponse) else None,
    )


def _history_message(item: HistoryItem | str) -> HistoryMessage:
    if isinstance(item, str):
        return HistoryMessage(item_id=item)
    time = None
    if item.time is not None:
        time = Timestamp()
        time.FromDatetime(item.time)
    return HistoryMessage(item_id=item.item_id, time=time, event=item.event, value=item.value)


def _degraded(response: pb.RecommendResponse) -> str | None:
    # A newer server may have reasons that this client does not know.
    return _DEGRADED.get(response.degraded_reason, "unknown") if response.degraded else None


def _recommendation(item: pb.ScoredItem, objectives: Sequence[str]) -> Recommendation:
    return Recommendation(
        item_id=item.item_id,
        score=item.score,
        objectives=dict(zip(objectives, item.objective_scores, strict=False)),
        retrieval_score=item.retrieval_score,
        source="model" if item.source == SOURCE_MODEL else "fallback",
    )
