"""The retrieval service: its server and what it loads."""

from pathlib import Path

import grpc

from retrieval_service.retriever import RetrievalQuery, Retriever
from retrieval_service.servicer import RetrievalServicer
from shortlist.bundle import Bundle, BundleStore
from shortlist.retrieval.v1.retrieval_service_pb2 import DESCRIPTOR
from shortlist.retrieval.v1.retrieval_service_pb2_grpc import add_RetrievalServiceServicer_to_server
from shortlist.server import serve
from shortlist.serving import Served
from shortlist.settings import ServerSettings
from shortlist.users import UserQuery
from shortlist.workers import Worker

SERVICE = DESCRIPTOR.services_by_name["RetrievalService"].full_name


def serve_retrieval(settings: ServerSettings, bundles: Path, worker: Worker | None) -> int:
    """Serves the current bundle until a signal comes; returns the exit code."""
    served: Served[Retriever] = Served()

    def add_services(server: grpc.Server) -> None:
        add_RetrievalServiceServicer_to_server(RetrievalServicer(served), server)

    return serve(
        settings=settings,
        service_names=[SERVICE],
        add_services=add_services,
        load=lambda: served.put(load(bundles)),
        worker=worker,
    )


def load(root: Path) -> Retriever:
    """The current bundle: verified, loaded, and warmed by one query through every stage.

    Raises:
        BundleError: it cannot be used.
    """
    retriever = Retriever(Bundle.open(BundleStore(root).current()))
    items = retriever.bundle.items
    someone = UserQuery(item_ids=(items.id_of(int(items.popular[0])),), values=(float("nan"),), events=("",))
    query = RetrievalQuery(user=someone, similar_to=(), limit=1, exclude=(), keep_seen=False)
    retriever.retrieve(query)
    return retriever
