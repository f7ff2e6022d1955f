"""The caller's dataclasses, and their messages."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from shortlist.client.arguments import (
    Id,
    read_id,
    read_mapping,
    read_number,
    read_sequence,
    read_switch,
    read_text,
    read_time,
)
from shortlist.context import Context
from shortlist.degraded import degraded_name
from shortlist.ranking.v1 import ranking_service_pb2 as pb
from shortlist.type.v1.context_pb2 import ContextValue
from shortlist.type.v1.source_pb2 import SOURCE_MODEL
from shortlist.type.v1.user_pb2 import HISTORY_MODE_APPEND, HISTORY_MODE_UNSPECIFIED, User
from shortlist.type.v1.user_pb2 import HistoryItem as HistoryMessage


@dataclass(frozen=True, kw_only=True)
class HistoryItem:
    """One interaction of a user with an item.

    ``item_id`` is a text or a whole number. ``time`` is when it happened; a time without a zone is UTC. ``event`` is
    its kind, named as in the training data. ``value`` is a rating, seconds watched or the like, in the unit of the
    training data.
    """

    item_id: Id
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
    The bundle does not know ``unknown_items`` of the ids sent, and ``unknown_context`` names and texts of the context.
    ``unknown_events`` interactions were sent with an event that it does not know.
    ``degraded`` is why the list is less than both stages give, such as "retrieval_timeout"; None when it is not.
    ``live_position`` is the position of the live service that the list knows, 0 for none. ``recommendation_id`` names
    the list, for events to refer to; empty without a live service. ``hidden_items`` counts the ranked candidates that
    are left out because they may not be shown now.
    """

    bundle_id: str
    items: Sequence[Recommendation]
    asked: int
    found: int
    unknown_items: int
    unknown_events: int
    unknown_context: int
    degraded: str | None
    live_position: int = 0
    recommendation_id: str = ""
    hidden_items: int = 0


def user_message(user_id: Id, history: Iterable[HistoryItem | Id], append: bool) -> User:
    """The user. Plain ids in the history have no times and are oldest first."""
    items = enumerate(read_sequence(history, "history"))
    return User(
        user_id=read_id(user_id, "user_id"),
        history=[_history_message(item, f"history[{place}]") for place, item in items],
        history_mode=HISTORY_MODE_APPEND if read_switch(append, "append") else HISTORY_MODE_UNSPECIFIED,
    )


def context_message(context: Context | None) -> dict[str, ContextValue]:
    """The values that describe the call, by name."""
    values = read_mapping(context, "context").items()
    return {name: _context_value(value, f"context[{name!r}]") for name, value in values}


def weights_message(weights: Mapping[str, float] | None) -> dict[str, float]:
    """The weights of the objectives, by name."""
    values = read_mapping(weights, "objective_weights").items()
    return {name: read_number(weight, f"objective_weights[{name!r}]") for name, weight in values}


def read_recommendations(response: pb.RecommendResponse | pb.RankResponse | pb.SimilarResponse) -> Recommendations:
    """The answer in the caller's dataclasses."""
    if isinstance(response, pb.SimilarResponse):
        return _similar(response)
    return Recommendations(
        bundle_id=response.bundle_id,
        items=tuple(_recommendation(item, response.objectives) for item in response.items),
        asked=response.asked_count,
        found=response.found_count,
        unknown_items=response.unknown_item_count,
        unknown_events=response.unknown_event_count,
        unknown_context=response.unknown_context_count,
        degraded=_degraded_name(response),
        live_position=response.live_position,
        recommendation_id=response.recommendation_id,
        hidden_items=response.hidden_item_count if isinstance(response, pb.RankResponse) else 0,
    )


def _history_message(item: HistoryItem | Id, name: str) -> HistoryMessage:
    if not isinstance(item, HistoryItem):
        return HistoryMessage(item_id=read_id(item, name))
    return HistoryMessage(
        item_id=read_id(item.item_id, f"{name}.item_id"),
        time=None if item.time is None else _time_message(item.time, f"{name}.time"),
        event=read_text(item.event, f"{name}.event"),
        value=None if item.value is None else read_number(item.value, f"{name}.value"),
    )


def _time_message(time: object, name: str) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(read_time(time, name))
    return message


def _context_value(value: object, name: str) -> ContextValue:
    if isinstance(value, str):
        return ContextValue(text=value)
    return ContextValue(number=read_number(value, name, "give a text or a number"))


def _similar(response: pb.SimilarResponse) -> Recommendations:
    return Recommendations(
        bundle_id=response.bundle_id,
        items=tuple(_recommendation(item, ()) for item in response.items),
        asked=response.asked_count,
        found=response.found_count,
        unknown_items=response.unknown_item_count,
        unknown_events=0,
        unknown_context=0,
        degraded=_degraded_name(response),
    )


def _degraded_name(response: pb.RecommendResponse | pb.RankResponse | pb.SimilarResponse) -> str | None:
    return degraded_name(response.degraded_reason) or "unknown" if response.degraded else None


def _recommendation(item: pb.ScoredItem, objectives: Sequence[str]) -> Recommendation:
    return Recommendation(
        item_id=item.item_id,
        score=item.score,
        objectives=dict(zip(objectives, item.objective_scores, strict=False)),
        retrieval_score=item.retrieval_score,
        source="model" if item.source == SOURCE_MODEL else "fallback",
    )
