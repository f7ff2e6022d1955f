"""``python -m retrieval_service --bundles DIR --listen HOST:PORT``."""

import argparse
import sys
from collections.abc import Sequence
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

SERVICE = DESCRIPTOR.services_by_name["RetrievalService"].full_name


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until a signal comes; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m retrieval_service", description="Finds candidates for a user by nearest neighbour, over gRPC."
    )
    add_setting(parser, "--bundles", default="bundles", help="the directory that the trainer writes bundles into")
    add_server_settings(parser, listen="127.0.0.1:50051")
    options = parser.parse_args(arguments)
    served: Served[Retriever] = Served()

    def add_services(server: grpc.Server) -> None:
        add_RetrievalServiceServicer_to_server(RetrievalServicer(served), server)

    return serve(
        settings=read_server_settings(parser, options),
        service_names=[SERVICE],
        add_services=add_services,
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
