"""Servers within the test's own process, on real sockets."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import grpc

from live_service.catalog_servicer import CatalogServicer
from live_service.live_catalog import LiveCatalog
from live_service.live_events import LiveEvents
from live_service.servicer import EventServicer
from live_service.settings import Retention
from live_service.store.opening import open_store
from ranking_service.recommender import Recommender
from ranking_service.retrieval import RetrievalClient
from ranking_service.served_log import ServedLog
from ranking_service.servicer import RankingServicer
from retrieval_service.retriever import Retriever
from retrieval_service.servicer import RetrievalServicer
from shortlist.bundle import Bundle, BundleStore
from shortlist.live.v1.catalog_service_pb2_grpc import add_CatalogServiceServicer_to_server
from shortlist.live.v1.event_service_pb2_grpc import EventServiceStub, add_EventServiceServicer_to_server
from shortlist.live_histories.client import LiveClient
from shortlist.ranking.v1.ranking_service_pb2_grpc import RankingServiceStub, add_RankingServiceServicer_to_server
from shortlist.retrieval.v1 import retrieval_service_pb2 as pb
from shortlist.retrieval.v1.retrieval_service_pb2_grpc import (
    RetrievalServiceServicer,
    add_RetrievalServiceServicer_to_server,
)
from shortlist.security.settings import ClientSecurity
from shortlist.serving.interceptor import CallInterceptor
from shortlist.serving.served_bundles import ServedBundles


class RowsServicer(RetrievalServiceServicer):
    """The servicer of a test, which writes the one method that ranking calls."""

    def Retrieve(self, request: pb.RetrieveRequest, context: grpc.ServicerContext) -> pb.RetrieveResponse:  # noqa: N802
        raise NotImplementedError

    def BatchRetrieve(  # noqa: N802
        self, request: pb.BatchRetrieveRequest, context: grpc.ServicerContext
    ) -> pb.BatchRetrieveResponse:
        raise NotImplementedError

    def GetBundle(self, request: pb.GetBundleRequest, context: grpc.ServicerContext) -> pb.GetBundleResponse:  # noqa: N802
        raise NotImplementedError


def retrieval_servicer(bundles: Path, live: LiveClient | None = None) -> RetrievalServicer:
    """The servicer of a directory of bundles, loaded."""
    served = ServedBundles(BundleStore(bundles), lambda directory: Retriever(Bundle.open(directory), live))
    served.load()
    return RetrievalServicer(served)


@contextlib.contextmanager
def retrieval_client(servicer: RetrievalServiceServicer) -> Iterator[RetrievalClient]:
    """A client of a running server of that servicer."""
    with retrieval_address(servicer) as address:
        client = RetrievalClient(f"dns:///{address}", ClientSecurity())
        try:
            yield client
        finally:
            client.close()


@contextlib.contextmanager
def ranking_stub(
    bundles: Path, retrieval: RetrievalServiceServicer, live: LiveClient | None = None, log: ServedLog | None = None
) -> Iterator[RankingServiceStub]:
    """A stub of a running ranking service over a directory of bundles."""
    with ranking_address(bundles, retrieval, live, log) as address, grpc.insecure_channel(address) as channel:
        yield RankingServiceStub(channel)


@contextlib.contextmanager
def ranking_address(
    bundles: Path, retrieval: RetrievalServiceServicer, live: LiveClient | None = None, log: ServedLog | None = None
) -> Iterator[str]:
    """The address of a running ranking service over a directory of bundles."""
    server = grpc.server(ThreadPoolExecutor(8), interceptors=[CallInterceptor()])
    port = server.add_insecure_port("127.0.0.1:0")
    with retrieval_client(retrieval) as client:
        store = BundleStore(bundles)
        served = ServedBundles(store, lambda directory: Recommender(Bundle.open(directory), client, live))
        served.load()
        add_RankingServiceServicer_to_server(RankingServicer(served, log), server)
        server.start()
        yield f"127.0.0.1:{port}"
        server.stop(None).wait()


@contextlib.contextmanager
def live_address(store: Path | str, retention: Retention | None = None, port: int = 0) -> Iterator[str]:
    """The address of a running live service over a file of events, or a database; at a free port by default."""
    retention = retention or Retention()
    events = LiveEvents(functools.partial(open_store, str(store)), retention)
    server = grpc.server(ThreadPoolExecutor(8), interceptors=[CallInterceptor()])
    add_EventServiceServicer_to_server(EventServicer(events, retention), server)
    add_CatalogServiceServicer_to_server(CatalogServicer(LiveCatalog(events.catalog, events.change_items)), server)
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    events.load()
    server.start()
    with events.watching():
        yield f"127.0.0.1:{port}"
        server.stop(None).wait()


@contextlib.contextmanager
def retrieval_address(servicer: RetrievalServiceServicer, threads: int = 4) -> Iterator[str]:
    """The address of a running server of that servicer."""
    server = grpc.server(ThreadPoolExecutor(threads), interceptors=[CallInterceptor()])
    add_RetrievalServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


class LiveServices(NamedTuple):
    """The live service, a ranking service that asks it, and one that does not."""

    live: EventServiceStub
    ranking: RankingServiceStub
    frozen: RankingServiceStub


@contextlib.contextmanager
def live_services(bundles: Path, retrieval: RetrievalServiceServicer, store: Path) -> Iterator[LiveServices]:
    """All of them on real sockets."""
    with live_address(store) as address:
        client = LiveClient(address, ClientSecurity())
        with (
            grpc.insecure_channel(address) as channel,
            ranking_stub(bundles, retrieval, client) as ranking,
            ranking_stub(bundles, retrieval) as frozen,
        ):
            yield LiveServices(EventServiceStub(channel), ranking, frozen)
        client.close()
