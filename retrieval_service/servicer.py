"""RetrievalService: messages in, messages out."""

import grpc

from retrieval_service.retriever import RetrievalQuery, Retrieved, Retriever
from shortlist.errors import BundleNotServed
from shortlist.requests import MAX_BATCH, MAX_EXCLUDED, MAX_HISTORY, RequestCheck, bundle_message, read_user
from shortlist.retrieval.v1 import retrieval_service_pb2 as pb
from shortlist.retrieval.v1.retrieval_service_pb2_grpc import RetrievalServiceServicer
from shortlist.serving import Served
from shortlist.type.v1.source_pb2 import SOURCE_FALLBACK, SOURCE_MODEL


class RetrievalServicer(RetrievalServiceServicer):
    """Translates between the wire and the retriever."""

    def __init__(self, served: Served[Retriever]) -> None:
        self._served = served

    def Retrieve(self, request: pb.RetrieveRequest, context: grpc.ServicerContext) -> pb.RetrieveResponse:  # noqa: N802
        """Candidates for one user, or the neighbours of given items."""
        check = RequestCheck()
        _check(check, request)
        check.done()
        return _answer(self._served.get(), request)

    def BatchRetrieve(  # noqa: N802
        self, request: pb.BatchRetrieveRequest, context: grpc.ServicerContext
    ) -> pb.BatchRetrieveResponse:
        """Several queries, answered by one bundle."""
        count = len(request.requests)
        whole = RequestCheck()
        whole.require(1 <= count <= MAX_BATCH, "requests", f"has {count} queries; has to have 1 to {MAX_BATCH}")
        whole.done()
        for place, query in enumerate(request.requests):
            check = RequestCheck(prefix=f"requests[{place}].")
            _check(check, query)
            check.done()
        retriever = self._served.get()
        return pb.BatchRetrieveResponse(responses=[_answer(retriever, query) for query in request.requests])

    def GetBundle(self, request: pb.GetBundleRequest, context: grpc.ServicerContext) -> pb.GetBundleResponse:  # noqa: N802
        """The bundle that is being served."""
        return pb.GetBundleResponse(bundle=bundle_message(self._served.get().bundle))


def _check(check: RequestCheck, request: pb.RetrieveRequest) -> None:
    check.limit(request.limit)
    check.user(request.user)
    check.ids(request.exclude_item_ids, "exclude_item_ids", MAX_EXCLUDED)
    if request.HasField("similar_to"):
        check.require(bool(request.similar_to.item_ids), "similar_to.item_ids", "is empty; name at least one item")
        check.ids(request.similar_to.item_ids, "similar_to.item_ids", MAX_HISTORY)
    known = request.view in pb.CandidateView.values()
    check.require(known, "view", f"is {request.view}, which this release does not know")


def _answer(retriever: Retriever, request: pb.RetrieveRequest) -> pb.RetrieveResponse:
    bundle_id = retriever.bundle.bundle_id
    if request.bundle_id not in {"", bundle_id}:
        raise BundleNotServed(f"bundle {request.bundle_id!r} is not served here; {bundle_id} is")
    retrieved = retriever.retrieve(
        RetrievalQuery(
            user=read_user(request.user),
            similar_to=tuple(request.similar_to.item_ids),
            limit=request.limit,
            exclude=tuple(request.exclude_item_ids),
            keep_seen=request.keep_seen,
        )
    )
    packed = request.view == pb.CANDIDATE_VIEW_PACKED
    return pb.RetrieveResponse(
        bundle_id=bundle_id,
        packed=_packed(retrieved) if packed else None,
        candidates=[] if packed else _candidates(retriever, retrieved),
        asked_count=request.limit,
        found_count=len(retrieved.rows),
        unknown_item_count=retrieved.unknown_items,
    )


def _packed(retrieved: Retrieved) -> pb.PackedCandidates:
    vector = [] if retrieved.vector is None else retrieved.vector.tolist()
    return pb.PackedCandidates(rows=retrieved.rows.tolist(), scores=retrieved.scores.tolist(), user_vector=vector)


def _candidates(retriever: Retriever, retrieved: Retrieved) -> list[pb.Candidate]:
    ids = [retriever.bundle.items.id_of(int(row)) for row in retrieved.rows]
    scores = retrieved.scores.tolist()
    chosen = [
        pb.Candidate(item_id=item_id, score=score, source=SOURCE_MODEL)
        for item_id, score in zip(ids, scores, strict=False)
    ]
    return chosen + [pb.Candidate(item_id=item_id, source=SOURCE_FALLBACK) for item_id in ids[len(scores) :]]
