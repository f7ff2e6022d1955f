"""RetrievalService: messages in, messages out."""

from collections.abc import Callable, Sequence

import grpc

from retrieval_service.packing import add_packed, read_queries
from retrieval_service.retriever import RetrievalQuery, Retrieved, Retriever
from shortlist.retrieval.v1 import retrieval_service_pb2 as pb
from shortlist.retrieval.v1.retrieval_service_pb2_grpc import RetrievalServiceServicer
from shortlist.serving.deadlines import deadline_of, require_wanted
from shortlist.serving.requests import (
    MAX_BATCH,
    MAX_BATCH_CANDIDATES,
    MAX_EXCLUDED,
    MAX_HISTORY,
    RequestCheck,
    read_user,
)
from shortlist.serving.served_bundles import ServedBundles
from shortlist.serving.served_messages import bundle_message, failure_message
from shortlist.type.v1.source_pb2 import SOURCE_FALLBACK, SOURCE_MODEL


class RetrievalServicer(RetrievalServiceServicer):
    """Translates between the wire and the retriever."""

    def __init__(self, served: ServedBundles[Retriever]) -> None:
        self._served = served

    def Retrieve(self, request: pb.RetrieveRequest, context: grpc.ServicerContext) -> pb.RetrieveResponse:  # noqa: N802
        """Candidates for one user, or the neighbours of given items."""
        check = RequestCheck()
        _check(check, request)
        check.done()
        return _answer(self._served.get(request.bundle_id), request, deadline_of(context), context.is_active)

    def BatchRetrieve(  # noqa: N802
        self, request: pb.BatchRetrieveRequest, context: grpc.ServicerContext
    ) -> pb.BatchRetrieveResponse:
        """Several queries, answered by one bundle."""
        _check_batch(len(request.requests), "requests")
        _check_candidates(sum(query.limit for query in request.requests))
        for place, query in enumerate(request.requests):
            check = RequestCheck(prefix=f"requests[{place}].")
            _check(check, query)
            check.done()
        retriever = self._served.get(_one_bundle(request.requests))
        deadline, response = deadline_of(context), pb.BatchRetrieveResponse()
        for query in request.requests:
            require_wanted(context, deadline)
            response.responses.append(_answer(retriever, query, deadline, context.is_active))
        return response

    def RetrieveRows(  # noqa: N802
        self, request: pb.RetrieveRowsRequest, context: grpc.ServicerContext
    ) -> pb.RetrieveRowsResponse:
        """Several users, in rows of the bundle that the caller has as well."""
        _check_batch(len(request.queries), "queries")
        check = RequestCheck()
        check.require(bool(request.bundle_id), "bundle_id", "is empty; rows have a meaning in one bundle only")
        check.done()
        retriever = self._served.get(request.bundle_id)
        queries = read_queries(request.queries, retriever.bundle.manifest)
        response = pb.RetrieveRowsResponse()
        for found in retriever.retrieve_rows(queries):
            add_packed(response, found)
        return response

    def GetBundle(self, request: pb.GetBundleRequest, context: grpc.ServicerContext) -> pb.GetBundleResponse:  # noqa: N802
        """The bundle that is being served."""
        return pb.GetBundleResponse(
            bundle=bundle_message(self._served.get().bundle),
            previous_bundle_id=self._served.previous_id,
            load_failure=failure_message(self._served.failure),
        )


def _check_batch(count: int, field: str) -> None:
    check = RequestCheck()
    check.require(1 <= count <= MAX_BATCH, field, f"has {count} queries; has to have 1 to {MAX_BATCH}")
    check.done()


def _check_candidates(count: int) -> None:
    check = RequestCheck()
    check.require(
        count <= MAX_BATCH_CANDIDATES,
        "requests",
        f"want {count} candidates together; at most {MAX_BATCH_CANDIDATES} are accepted",
    )
    check.done()


def _one_bundle(requests: Sequence[pb.RetrieveRequest]) -> str:
    asked = {request.bundle_id for request in requests if request.bundle_id}
    check = RequestCheck()
    check.require(len(asked) <= 1, "requests", "name several bundles; one answers all of them")
    check.done()
    return asked.pop() if asked else ""


def _check(check: RequestCheck, request: pb.RetrieveRequest) -> None:
    check.limit(request.limit)
    check.user(request.user)
    check.ids(request.exclude_item_ids, "exclude_item_ids", MAX_EXCLUDED)
    if request.HasField("similar_to"):
        check.require(bool(request.similar_to.item_ids), "similar_to.item_ids", "is empty; name at least one item")
        check.ids(request.similar_to.item_ids, "similar_to.item_ids", MAX_HISTORY)
    known = request.view in pb.CandidateView.values()
    check.require(known, "view", f"is {request.view}, which this release does not know")


def _answer(
    retriever: Retriever, request: pb.RetrieveRequest, deadline: float, is_wanted: Callable[[], bool]
) -> pb.RetrieveResponse:
    retrieved, unknown = retriever.retrieve(
        RetrievalQuery(
            user=read_user(request.user),
            similar_to=tuple(request.similar_to.item_ids),
            limit=request.limit,
            exclude=tuple(request.exclude_item_ids),
            keep_seen=request.keep_seen,
        ),
        deadline,
        is_wanted,
    )
    ids = retriever.bundle.items.ids_of(retrieved.rows)
    response = pb.RetrieveResponse(
        bundle_id=retriever.bundle.bundle_id,
        asked_count=request.limit,
        found_count=len(ids),
        unknown_item_count=unknown,
    )
    if request.view == pb.CANDIDATE_VIEW_COLUMNS:
        response.columns.item_ids.extend(ids)
        response.columns.scores.extend(retrieved.scores.tolist())
    else:
        _add_candidates(response, ids, retrieved)
    return response


def _add_candidates(response: pb.RetrieveResponse, ids: list[str], retrieved: Retrieved) -> None:
    scores = retrieved.scores.tolist()
    for item_id, score in zip(ids, scores, strict=False):
        response.candidates.add(item_id=item_id, score=score, source=SOURCE_MODEL)
    for item_id in ids[len(scores) :]:
        response.candidates.add(item_id=item_id, source=SOURCE_FALLBACK)
