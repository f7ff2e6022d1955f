"""RetrievalService: checks messages, translates them to queries, and results to messages."""

from collections.abc import Sequence

import grpc

from retrieval_service.queries import Answer, IdQuery
from retrieval_service.retriever import Retriever
from shortlist.inference.candidates import Candidates
from shortlist.limits import MAX_BATCH, MAX_BATCH_CANDIDATES, MAX_EXCLUDED, MAX_HISTORY
from shortlist.retrieval.v1 import retrieval_service_pb2 as pb
from shortlist.retrieval.v1.retrieval_service_pb2_grpc import RetrievalServiceServicer
from shortlist.serving.deadlines import deadline_of, require_wanted
from shortlist.serving.served_bundles import ServedBundles
from shortlist.serving.served_messages import bundle_message, failure_message
from shortlist.wire.item_messages import ItemMessages
from shortlist.wire.messages import read_user
from shortlist.wire.request_check import RequestCheck
from shortlist.wire.rows_codec import decode_queries, encode_candidates

_CANDIDATES = ItemMessages(pb.Candidate.DESCRIPTOR, pb.RetrieveResponse.CANDIDATES_FIELD_NUMBER)


class RetrievalServicer(RetrievalServiceServicer):
    """Translates between the wire and the retriever."""

    def __init__(self, served: ServedBundles[Retriever]) -> None:
        self._served = served

    def Retrieve(self, request: pb.RetrieveRequest, context: grpc.ServicerContext) -> pb.RetrieveResponse:  # noqa: N802
        """Finds candidates for one user, or the neighbours of given items."""
        _check(request, RequestCheck())
        retriever = self._served.get(request.bundle_id)
        answer = retriever.retrieve(_read_query(request, deadline_of(context)), context.is_active)
        response = pb.RetrieveResponse()
        _fill(response, retriever, request, answer)
        return response

    def BatchRetrieve(  # noqa: N802
        self, request: pb.BatchRetrieveRequest, context: grpc.ServicerContext
    ) -> pb.BatchRetrieveResponse:
        """Answers several queries from one bundle, in one batch."""
        _check_batch(len(request.requests), "requests")
        _check_candidates([query.limit for query in request.requests], "requests")
        for place, query in enumerate(request.requests):
            _check(query, RequestCheck(f"requests[{place}]."))
        retriever = self._served.get(_one_bundle(request.requests))
        deadline, response = deadline_of(context), pb.BatchRetrieveResponse()
        queries = [_read_query(query, deadline) for query in request.requests]
        require_wanted(context, deadline)
        found = retriever.retrieve_many(queries)
        require_wanted(context, deadline)
        for query, one in zip(request.requests, found, strict=True):
            _fill(response.responses.add(), retriever, query, one)
        return response

    def RetrieveRows(  # noqa: N802
        self, request: pb.RetrieveRowsRequest, context: grpc.ServicerContext
    ) -> pb.RetrieveRowsResponse:
        """Finds candidates for several users, in rows of the bundle."""
        _check_batch(len(request.queries), "queries")
        _check_candidates([query.limit for query in request.queries], "queries")
        check = RequestCheck()
        check.require(bool(request.bundle_id), "bundle_id", "is empty; a row means an item of one bundle only")
        check.done()
        retriever = self._served.get(request.bundle_id)
        queries = decode_queries(request.queries, retriever.bundle.manifest, retriever.live_items)
        return encode_candidates(retriever.retrieve_rows(queries), retriever.live_items)

    def GetBundle(self, request: pb.GetBundleRequest, context: grpc.ServicerContext) -> pb.GetBundleResponse:  # noqa: N802
        """Describes the bundle that is being served."""
        return pb.GetBundleResponse(
            bundle=bundle_message(self._served.get().bundle),
            previous_bundle_id=self._served.previous_id,
            load_failure=failure_message(self._served.failure),
        )


def _check_batch(count: int, field: str) -> None:
    check = RequestCheck()
    check.require(1 <= count <= MAX_BATCH, field, f"has {count} queries; has to have 1 to {MAX_BATCH}")
    check.done()


def _check_candidates(limits: Sequence[int], field: str) -> None:
    check, count = RequestCheck(), sum(limits)
    check.require(
        count <= MAX_BATCH_CANDIDATES,
        field,
        f"want {count} candidates together; at most {MAX_BATCH_CANDIDATES} are accepted",
    )
    check.done()


def _one_bundle(requests: Sequence[pb.RetrieveRequest]) -> str:
    asked = {request.bundle_id for request in requests if request.bundle_id}
    check = RequestCheck()
    check.require(len(asked) <= 1, "requests", "name several bundles; one bundle answers all of them")
    check.done()
    return asked.pop() if asked else ""


def _check(request: pb.RetrieveRequest, check: RequestCheck) -> None:
    check.limit(request.limit)
    check.user(request.user)
    check.ids(request.exclude_item_ids, "exclude_item_ids", MAX_EXCLUDED)
    if request.HasField("similar_to"):
        check.require(bool(request.similar_to.item_ids), "similar_to.item_ids", "is empty; name at least one item")
        check.ids(request.similar_to.item_ids, "similar_to.item_ids", MAX_HISTORY)
    check.require(request.min_position >= 0, "min_position", "is negative")
    known = request.view in pb.CandidateView.values()
    check.require(known, "view", f"is {request.view}, which this release does not know")
    check.done()


def _read_query(request: pb.RetrieveRequest, deadline: float) -> IdQuery:
    return IdQuery(
        user=read_user(request.user),
        similar_to=tuple(request.similar_to.item_ids),
        limit=request.limit,
        exclude=tuple(request.exclude_item_ids),
        keep_seen=request.keep_seen,
        deadline=deadline,
        min_position=request.min_position,
    )


def _fill(response: pb.RetrieveResponse, retriever: Retriever, request: pb.RetrieveRequest, answer: Answer) -> None:
    candidates, unknown = answer.retrieved.candidates, answer.unknown
    response.bundle_id = retriever.bundle.bundle_id
    response.asked_count, response.found_count = request.limit, len(candidates)
    response.unknown_item_count, response.unknown_event_count = unknown.items, unknown.events
    response.live_position = answer.live_position
    if answer.degraded is not None:
        response.degraded, response.degraded_reason = (
            True,
            pb.DegradedReason.Value(f"DEGRADED_REASON_{answer.degraded.name}"),
        )
    add = _add_columns if request.view == pb.CANDIDATE_VIEW_COLUMNS else _add_items
    add(response, retriever.id_bytes_of(candidates.rows), candidates)


def _add_columns(response: pb.RetrieveResponse, ids: Sequence[bytes], candidates: Candidates) -> None:
    response.columns.item_ids.extend([item_id.decode() for item_id in ids])
    response.columns.scores.extend(candidates.scores.tolist())
    response.columns.sources.extend(candidates.sources.tolist())


def _add_items(response: pb.RetrieveResponse, ids: Sequence[bytes], candidates: Candidates) -> None:
    numbers = _CANDIDATES.numbers(score=candidates.scores, source=candidates.sources)
    response.MergeFromString(_CANDIDATES.written(ids, numbers))
