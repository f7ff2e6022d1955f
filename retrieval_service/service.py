"""The retrieval service: its server, and the loading of its bundles."""

import functools
import time

import grpc

from retrieval_service.queries import IdQuery
from retrieval_service.retriever import Retriever
from retrieval_service.servicer import RetrievalServicer
from shortlist.bundle import Bundle, BundleStore
from shortlist.bundle.bundle import USER_ENCODER
from shortlist.catalog.followed import FollowedLoader
from shortlist.live_histories.client import LiveClient
from shortlist.retrieval.v1.retrieval_service_pb2 import DESCRIPTOR
from shortlist.retrieval.v1.retrieval_service_pb2_grpc import add_RetrievalServiceServicer_to_server
from shortlist.serving.checking import check, check_encoder, first_user
from shortlist.serving.loading import WARM_UP_SECONDS, opened, require_finite, warmed_up
from shortlist.serving.served_bundles import ServedBundles
from shortlist.serving.server import serve
from shortlist.serving.settings import BundleSettings, ServerSettings
from shortlist.serving.worker import Worker

SERVICE = DESCRIPTOR.services_by_name["RetrievalService"].full_name


def serve_retrieval(
    settings: ServerSettings, bundles: BundleSettings, live: LiveClient | None, worker: Worker | None
) -> int:
    """Serves the current bundle until a signal comes, with or without a live service; returns the exit code."""
    store = BundleStore(bundles.directory)
    served = ServedBundles(store, lambda directory: load(opened(directory, bundles.public_key), live))

    def add_services(server: grpc.Server) -> None:
        add_RetrievalServiceServicer_to_server(RetrievalServicer(served), server)

    loader = FollowedLoader(served, live.follower) if live else served
    return serve(settings=settings, service_names=[SERVICE], add_services=add_services, loader=loader, worker=worker)


def check_retrieval(bundles: BundleSettings, bundle_id: str) -> int:
    """Loads a bundle as the service does; returns the exit code, 0 when it can be served and 3 when not."""
    return check(bundles.directory / bundle_id, bundles.public_key, load)


def load(bundle: Bundle, live: LiveClient | None = None) -> Retriever:
    """The retriever of a bundle, warmed up by one query through every stage.

    Raises:
        BundleError: the bundle cannot be used.
    """
    return warmed_up(bundle, functools.partial(_load, bundle, live))


def _load(bundle: Bundle, live: LiveClient | None) -> Retriever:
    retriever = Retriever(bundle, live)
    query = IdQuery(user=first_user(bundle), limit=1, deadline=time.monotonic() + WARM_UP_SECONDS)
    require_finite(bundle, USER_ENCODER, retriever.retrieve(query).retrieved.candidates.scores)
    check_encoder(bundle, retriever.encoder)
    return retriever
