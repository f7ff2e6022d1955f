"""The retrieval service: its server, and the loading of its bundles."""

import time

import grpc

from retrieval_service.queries import IdQuery
from retrieval_service.retriever import Retriever
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
    """The retriever of a bundle, warmed up by one query through every stage.

    Raises:
        BundleError: the bundle cannot be used.
    """
    with warming(bundle):
        retriever = Retriever(bundle)
        someone = UserQuery(item_ids=(bundle.most_popular,), values=(float("nan"),), events=("",))
        found, _ = retriever.retrieve(IdQuery(user=someone, limit=1), time.monotonic() + WARM_UP_SECONDS)
        require_finite(bundle, USER_ENCODER, retriever.encoder.of_item(int(bundle.items.popular[0])))
        require_finite(bundle, USER_ENCODER, found.candidates.scores)
    return retriever
