"""RankingService: checks messages, translates them to queries, and answers to messages."""

import secrets

import grpc

from ranking_service.answer import Ranked
from ranking_service.queries import RankQuery, RecommendQuery, SimilarQuery
from ranking_service.recommender import Recommender
from ranking_service.served_log import ServedLog
from ranking_service.swap import rank, recommend, similar
from shortlist.degraded import degraded_number
from shortlist.limits import MAX_EXCLUDED, MAX_HISTORY, MAX_ID_BYTES, MAX_LIMIT
from shortlist.live_histories.stage import NOTHING_LIVE, Live
from shortlist.ranking.v1 import ranking_service_pb2 as pb
from shortlist.ranking.v1.ranking_service_pb2_grpc import RankingServiceServicer
from shortlist.serving.deadlines import deadline_of
from shortlist.serving.served_bundles import ServedBundles
from shortlist.serving.served_messages import bundle_message, failure_message
from shortlist.wire.item_messages import ItemMessages, Numbers
from shortlist.wire.messages import read_context, read_history, read_user
from shortlist.wire.request_check import RequestCheck

# All answers have their items in the same field.
_ITEMS = ItemMessages(pb.ScoredItem.DESCRIPTOR, pb.RecommendResponse.ITEMS_FIELD_NUMBER)


class RankingServicer(RankingServiceServicer):
    """Translates between the wire and the recommender, and gives each answer to a ``log`` where there is one."""

    def __init__(self, served: ServedBundles[Recommender], log: ServedLog | None = None) -> None:
        self._served, self._log = served, log

    def Recommend(self, request: pb.RecommendRequest, context: grpc.ServicerContext) -> pb.RecommendResponse:  # noqa: N802
        """Retrieves candidates, ranks them and answers with the best items."""
        _check_recommend(request)
        query = RecommendQuery(
            user=read_user(request.user),
            limit=request.limit,
            exclude=tuple(request.exclude_item_ids),
            candidate_count=request.candidate_count,
            keep_seen=request.keep_seen,
            deadline=deadline_of(context),
            objective_weights=dict(request.objective_weights),
            context=read_context(request.context),
            min_position=request.min_position,
            live=_read_live(request),
        )
        recommender, answer = recommend(self._served, request.bundle_id, query, context.is_active)
        response = pb.RecommendResponse(
            bundle_id=recommender.bundle.bundle_id,
            asked_count=request.limit,
            found_count=len(answer.ranked),
            unknown_item_count=answer.unknown.items,
            unknown_context_count=answer.unknown.context,
            unknown_event_count=answer.unknown.events,
            degraded=answer.degraded is not None,
            degraded_reason=degraded_number(answer.degraded),
            objectives=recommender.bundle.manifest.objective_names,
            live_position=answer.live.position,
            recommendation_id=self._new_id(recommender),
        )
        _add_items(response, recommender, answer.ranked)
        # An answer of another moment, made again, was served to nobody.
        if self._log is not None and query.live is NOTHING_LIVE:
            self._log.put(request, response, answer.live)
        return response

    def Rank(self, request: pb.RankRequest, context: grpc.ServicerContext) -> pb.RankResponse:  # noqa: N802
        """Ranks the caller's own candidates."""
        _check_rank(request)
        query = RankQuery(
            user=read_user(request.user),
            item_ids=tuple(request.item_ids),
            limit=request.limit,
            deadline=deadline_of(context),
            objective_weights=dict(request.objective_weights),
            context=read_context(request.context),
            min_position=request.min_position,
            live=_read_live(request),
        )
        recommender, answer = rank(self._served, request.bundle_id, query)
        response = pb.RankResponse(
            bundle_id=recommender.bundle.bundle_id,
            asked_count=request.limit,
            found_count=len(answer.ranked),
            unknown_item_count=answer.unknown.items,
            unknown_context_count=answer.unknown.context,
            unknown_event_count=answer.unknown.events,
            degraded=answer.degraded is not None,
            degraded_reason=degraded_number(answer.degraded),
            objectives=recommender.bundle.manifest.objective_names,
            live_position=answer.live.position,
            recommendation_id=self._new_id(recommender),
            hidden_item_count=answer.hidden,
        )
        _add_items(response, recommender, answer.ranked)
        # An answer of another moment, made again, was served to nobody.
        if self._log is not None and query.live is NOTHING_LIVE:
            self._log.put(request, response, answer.live)
        return response

    def Similar(self, request: pb.SimilarRequest, context: grpc.ServicerContext) -> pb.SimilarResponse:  # noqa: N802
        """Answers with the items that go best with others."""
        _check_similar(request)
        query = SimilarQuery(
            item_ids=tuple(request.item_ids),
            limit=request.limit,
            exclude=tuple(request.exclude_item_ids),
            event=request.event,
            deadline=deadline_of(context),
        )
        recommender, answer = similar(self._served, request.bundle_id, query)
        response = pb.SimilarResponse(
            bundle_id=recommender.bundle.bundle_id,
            asked_count=request.limit,
            found_count=len(answer.ranked),
            unknown_item_count=answer.unknown.items,
            degraded=answer.degraded is not None,
            degraded_reason=degraded_number(answer.degraded),
        )
        _add_items(response, recommender, answer.ranked)
        return response

    def GetBundle(self, request: pb.GetBundleRequest, context: grpc.ServicerContext) -> pb.GetBundleResponse:  # noqa: N802
        """Describes the bundle that is being served."""
        return pb.GetBundleResponse(
            bundle=bundle_message(self._served.get().bundle),
            previous_bundle_id=self._served.previous_id,
            load_failure=failure_message(self._served.failure),
        )

    def _new_id(self, recommender: Recommender) -> str:
        """Names an answer, where events or the log can refer to it."""
        return secrets.token_hex(16) if recommender.is_live or self._log is not None else ""


def _check_recommend(request: pb.RecommendRequest) -> None:
    check = RequestCheck()
    check.limit(request.limit)
    count = request.candidate_count
    check.require(0 <= count <= MAX_LIMIT, "candidate_count", f"is {count}; has to be 0 (default) to {MAX_LIMIT}")
    check.user(request.user)
    check.ids(request.exclude_item_ids, "exclude_item_ids", MAX_EXCLUDED)
    check.objective_weights(request.objective_weights)
    check.context(request.context)
    check.require(request.min_position >= 0, "min_position", "is negative")
    _check_live(check, request)
    check.done()


def _check_rank(request: pb.RankRequest) -> None:
    check = RequestCheck()
    check.limit(request.limit)
    check.user(request.user)
    check.require(bool(request.item_ids), "item_ids", "is empty; name the candidates to rank")
    check.ids(request.item_ids, "item_ids", MAX_LIMIT)
    check.objective_weights(request.objective_weights)
    check.context(request.context)
    check.require(request.min_position >= 0, "min_position", "is negative")
    _check_live(check, request)
    check.done()


def _check_live(check: RequestCheck, request: pb.RecommendRequest | pb.RankRequest) -> None:
    if request.HasField("live_history"):
        check.history(request.live_history.items, "live_history.items")
        check.require(request.live_history.position >= 0, "live_history.position", "is negative")


def _read_live(request: pb.RecommendRequest | pb.RankRequest) -> Live:
    if not request.HasField("live_history"):
        return NOTHING_LIVE
    given = request.live_history
    return Live(recorded=read_history(given.items), position=given.position, is_forgotten=given.is_forgotten)


def _check_similar(request: pb.SimilarRequest) -> None:
    check = RequestCheck()
    check.limit(request.limit)
    check.require(bool(request.item_ids), "item_ids", "is empty; name at least one item")
    check.ids(request.item_ids, "item_ids", MAX_HISTORY)
    check.ids(request.exclude_item_ids, "exclude_item_ids", MAX_EXCLUDED)
    size = len(request.event.encode())
    check.require(size <= MAX_ID_BYTES, "event", f"has {size} bytes; at most {MAX_ID_BYTES} are accepted")
    check.done()


def _add_items(
    response: pb.RecommendResponse | pb.RankResponse | pb.SimilarResponse, recommender: Recommender, ranked: Ranked
) -> None:
    ids = recommender.id_bytes_of(ranked.items.rows)
    response.MergeFromString(_ITEMS.written(ids, _numbers(ranked)))


def _numbers(ranked: Ranked) -> list[bytes]:
    """The numbers of each item, with predictions where it was scored."""
    items = ranked.items
    columns: dict[str, Numbers] = {"score": ranked.scores, "retrieval_score": items.scores, "source": items.sources}
    if not ranked.is_scored.any():
        return _ITEMS.numbers(**columns)
    predicted = _ITEMS.numbers(**columns, objective_scores=ranked.predictions)
    if ranked.is_scored.all():
        return predicted
    pairs = zip(ranked.is_scored.tolist(), predicted, _ITEMS.numbers(**columns), strict=True)
    return [with_predictions if is_scored else without for is_scored, with_predictions, without in pairs]
