"""RankingService: messages in, messages out."""

import grpc

from ranking_service.recommender import Ranked, RankQuery, Recommender, RecommendQuery
from ranking_service.swap import recommend
from shortlist.ranking.v1 import ranking_service_pb2 as pb
from shortlist.ranking.v1.ranking_service_pb2_grpc import RankingServiceServicer
from shortlist.serving.deadlines import deadline_of
from shortlist.serving.requests import MAX_EXCLUDED, MAX_LIMIT, RequestCheck, read_context
from shortlist.serving.served_bundles import ServedBundles
from shortlist.serving.served_messages import bundle_message, failure_message
from shortlist.type.v1.source_pb2 import SOURCE_FALLBACK, SOURCE_MODEL


class RankingServicer(RankingServiceServicer):
    """Translates between the wire and the recommender."""

    def __init__(self, served: ServedBundles[Recommender]) -> None:
        self._served = served

    def Recommend(self, request: pb.RecommendRequest, context: grpc.ServicerContext) -> pb.RecommendResponse:  # noqa: N802
        """Retrieves candidates, ranks them, answers with the best."""
        _check_recommend(request)
        query = RecommendQuery(
            user=request.user,
            limit=request.limit,
            exclude=tuple(request.exclude_item_ids),
            candidates=request.candidate_count,
            keep_seen=request.keep_seen,
            deadline=deadline_of(context),
            objective_weights=dict(request.objective_weights),
            context=read_context(request.context),
        )
        recommender, ranked = recommend(self._served, request.bundle_id, query, context.is_active)
        response = pb.RecommendResponse(
            bundle_id=recommender.bundle.bundle_id,
            asked_count=request.limit,
            found_count=len(ranked.rows),
            unknown_item_count=ranked.unknown.items,
            unknown_context_count=ranked.unknown.context,
            degraded=ranked.degraded is not None,
            degraded_reason=_reason(ranked),
            objectives=recommender.bundle.manifest.objective_names,
        )
        _add_items(response, recommender, ranked)
        return response

    def Rank(self, request: pb.RankRequest, context: grpc.ServicerContext) -> pb.RankResponse:  # noqa: N802
        """Ranks the caller's own candidates."""
        _check_rank(request)
        recommender = self._served.get(request.bundle_id)
        query = RankQuery(
            user=request.user,
            item_ids=tuple(request.item_ids),
            limit=request.limit,
            objective_weights=dict(request.objective_weights),
            context=read_context(request.context),
        )
        ranked = recommender.rank(query)
        response = pb.RankResponse(
            bundle_id=recommender.bundle.bundle_id,
            asked_count=request.limit,
            found_count=len(ranked.rows),
            unknown_item_count=ranked.unknown.items,
            unknown_context_count=ranked.unknown.context,
            objectives=recommender.bundle.manifest.objective_names,
        )
        _add_items(response, recommender, ranked)
        return response

    def GetBundle(self, request: pb.GetBundleRequest, context: grpc.ServicerContext) -> pb.GetBundleResponse:  # noqa: N802
        """The bundle that is being served."""
        return pb.GetBundleResponse(
            bundle=bundle_message(self._served.get().bundle),
            previous_bundle_id=self._served.previous_id,
            load_failure=failure_message(self._served.failure),
        )


def _check_recommend(request: pb.RecommendRequest) -> None:
    check = RequestCheck()
    check.limit(request.limit)
    count = request.candidate_count
    check.require(0 <= count <= MAX_LIMIT, "candidate_count", f"is {count}; has to be 0 (default) to {MAX_LIMIT}")
    check.user(request.user)
    check.ids(request.exclude_item_ids, "exclude_item_ids", MAX_EXCLUDED)
    check.objective_weights(request.objective_weights)
    check.context(request.context)
    check.done()


def _check_rank(request: pb.RankRequest) -> None:
    check = RequestCheck()
    check.limit(request.limit)
    check.user(request.user)
    check.require(bool(request.item_ids), "item_ids", "is empty; name the candidates to rank")
    check.ids(request.item_ids, "item_ids", MAX_LIMIT)
    check.objective_weights(request.objective_weights)
    check.context(request.context)
    check.done()


def _reason(ranked: Ranked) -> pb.DegradedReason.ValueType:
    name = "UNSPECIFIED" if ranked.degraded is None else ranked.degraded.name
    return pb.DegradedReason.Value(f"DEGRADED_REASON_{name}")


def _add_items(response: pb.RecommendResponse | pb.RankResponse, recommender: Recommender, ranked: Ranked) -> None:
    # In place: a list of messages given to the constructor is copied message by message.
    add = response.items.add
    ids = recommender.bundle.items.ids_of(ranked.rows)
    scores, retrieval_scores = ranked.scores.tolist(), ranked.retrieval_scores.tolist()
    objectives = ranked.objectives.tolist() or [[]] * len(scores)
    for item_id, score, retrieval_score, of_item in zip(ids, scores, retrieval_scores, objectives, strict=False):
        add(
            item_id=item_id,
            score=score,
            objective_scores=of_item,
            retrieval_score=retrieval_score,
            source=SOURCE_MODEL,
        )
    for item_id in ids[len(scores) :]:
        add(item_id=item_id, source=SOURCE_FALLBACK)
