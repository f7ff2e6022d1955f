"""The messages of calls, from their arguments."""

from collections.abc import Iterable, Mapping, Sequence

from shortlist.client.arguments import Id, read_count, read_ids, read_position, read_switch, read_text
from shortlist.client.messages import HistoryItem, context_message, user_message, weights_message
from shortlist.context import Context
from shortlist.ranking.v1 import ranking_service_pb2 as pb


def recommend_request(
    user_id: Id,
    history: Sequence[HistoryItem | Id],
    append: bool,
    limit: int,
    exclude: Iterable[Id],
    candidates: int,
    keep_seen: bool,
    objective_weights: Mapping[str, float] | None,
    context: Context | None,
    min_position: int,
) -> pb.RecommendRequest:
    """The message of :meth:`Recommender.recommend`."""
    return pb.RecommendRequest(
        user=user_message(user_id, history, append),
        limit=read_count(limit, "limit"),
        exclude_item_ids=read_ids(exclude, "exclude"),
        candidate_count=read_count(candidates, "candidates"),
        keep_seen=read_switch(keep_seen, "keep_seen"),
        objective_weights=weights_message(objective_weights),
        context=context_message(context),
        min_position=read_position(min_position, "min_position"),
    )


def rank_request(
    item_ids: Sequence[Id],
    user_id: Id,
    history: Sequence[HistoryItem | Id],
    append: bool,
    limit: int,
    objective_weights: Mapping[str, float] | None,
    context: Context | None,
    min_position: int,
) -> pb.RankRequest:
    """The message of :meth:`Recommender.rank`."""
    return pb.RankRequest(
        user=user_message(user_id, history, append),
        item_ids=read_ids(item_ids, "item_ids"),
        limit=read_count(limit, "limit"),
        objective_weights=weights_message(objective_weights),
        context=context_message(context),
        min_position=read_position(min_position, "min_position"),
    )


def similar_request(item_ids: Sequence[Id], limit: int, exclude: Iterable[Id], event: str) -> pb.SimilarRequest:
    """The message of :meth:`Recommender.similar`."""
    return pb.SimilarRequest(
        item_ids=read_ids(item_ids, "item_ids"),
        limit=read_count(limit, "limit"),
        exclude_item_ids=read_ids(exclude, "exclude"),
        event=read_text(event, "event"),
    )
