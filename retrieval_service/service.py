"""The retrieval service: its server and what it loads."""

import time

import grpc

from retrieval_service.retriever import RetrievalQuery, Retriever
from retrieval_service.servicer import RetrievalServicer
from shortlist.bundle import Bundle, BundleStore
from shortlist.bundle.bundle import USER_ENCODER
from shortlist.inference.users import UserQuery
from shortlist.retrieval.v1.retrieval_service_pb2 import DESCRIPTOR
from shortlist.retrieval.v1.retrieval_service_pb2_grpc import add_RetrievalServiceServicer_to_server
from shortlist.serving.loading import WARM_UP_SECONDS, opened, require_finite, warming
from shortlist.serving.served_bundles import ServedBundles
from shortlist.serving.server import serve
from shortlist.serving.settings import ServerSettings
from shortlist.serving.workers import Worker

SERVICE = DESCRIPTOR.services_by_name["RetrievalService"].full_name


def serve_retrieval(settings: ServerSettings, worker: Worker | None) -> int:
    """Serves the current bundle until a signal comes; returns the exit code."""
    served = ServedBundles(BundleStore(settings.bundles), lambda directory: load(opened(directory, settings)))

    def add_services(server: grpc.Server) -> None:
        add_RetrievalServiceServicer_to_server(RetrievalServicer(served), server)

    return serve(settings=settings, service_names=[SERVICE], add_services=add_services, loader=served, worker=worker)


def load(bundle: Bundle) -> Retriever:
    """What answers from a bundle, warmed by one query through every stage.

    Raises:
        BundleError: it cannot be used.
    """
    with warming(bundle):
        retriever = Retriever(bundle)
        someone = UserQuery(item_ids=(bundle.most_popular,), values=(float("nan"),), events=("",))
        query = RetrievalQuery(user=someone, similar_to=(), limit=1, exclude=(), keep_seen=False)
        found, _ = retriever.retrieve(query, time.monotonic() + WARM_UP_SECONDS)
        require_finite(bundle, USER_ENCODER, found.scores)
    return retriever
