"""``python -m retrieval_service --bundles DIR --listen HOST:PORT``."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import grpc

from retrieval_service.retriever import RetrievalQuery, Retriever
from retrieval_service.servicer import RetrievalServicer
from shortlist.bundle import Bundle, BundleStore
from shortlist.retrieval.v1.retrieval_service_pb2 import DESCRIPTOR
from shortlist.retrieval.v1.retrieval_service_pb2_grpc import add_RetrievalServiceServicer_to_server
from shortlist.server import serve
from shortlist.serving import Served
from shortlist.settings import add_server_settings, add_setting, read_server_settings
from shortlist.users import UserQuery
from shortlist.workers import supervise

SERVICE = DESCRIPTOR.services_by_name["RetrievalService"].full_name


def main(arguments: Sequence[str] | None = None, announce: Callable[[str], None] | None = None) -> int:
    """Serves until a signal comes; returns the exit code. A worker is given who to ``announce`` to."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(
        prog="python -m retrieval_service", description="Finds candidates for a user by nearest neighbour, over gRPC."
    )
    add_setting(parser, "--bundles", default="bundles", help="the directory that the trainer writes bundles into")
    add_server_settings(parser, listen="127.0.0.1:50051")
    options = parser.parse_args(arguments)
    settings = read_server_settings(parser, options)
    if settings.workers > 1:
        return supervise(settings, "retrieval_service", arguments)
    served: Served[Retriever] = Served()

    def add_services(server: grpc.Server) -> None:
        add_RetrievalServiceServicer_to_server(RetrievalServicer(served), server)

    return serve(
        settings=settings,
        service_names=[SERVICE],
        add_services=add_services,
        announce=announce,
        load=lambda: served.put(load(Path(options.bundles))),
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


if __name__ == "__main__":
    sys.exit(main())
