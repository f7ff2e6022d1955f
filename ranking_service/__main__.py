"""``python -m ranking_service --bundles DIR --listen HOST:PORT --retrieval TARGET``."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import grpc

from ranking_service.recommender import Recommender
from ranking_service.retrieval import RetrievalClient
from ranking_service.servicer import RankingServicer
from shortlist.bundle import Bundle, BundleStore
from shortlist.ranking.v1.ranking_service_pb2 import DESCRIPTOR
from shortlist.ranking.v1.ranking_service_pb2_grpc import add_RankingServiceServicer_to_server
from shortlist.server import serve
from shortlist.serving import Served
from shortlist.settings import add_server_settings, add_setting, read_server_settings
from shortlist.type.v1.user_pb2 import HistoryItem, User
from shortlist.workers import supervise

SERVICE = DESCRIPTOR.services_by_name["RankingService"].full_name


def main(arguments: Sequence[str] | None = None, announce: Callable[[str], None] | None = None) -> int:
    """Serves until a signal comes; returns the exit code. A worker is given who to ``announce`` to."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(
        prog="python -m ranking_service", description="Recommends: retrieves candidates and ranks them, over gRPC."
    )
    add_setting(parser, "--bundles", default="bundles", help="the directory that the trainer writes bundles into")
    add_setting(parser, "--retrieval", default="dns:///127.0.0.1:50051", help="gRPC target of the retrieval service")
    add_server_settings(parser, listen="127.0.0.1:50052")
    options = parser.parse_args(arguments)
    settings = read_server_settings(parser, options)
    if settings.workers > 1:
        return supervise(settings, "ranking_service", arguments)
    served: Served[Recommender] = Served()

    def add_services(server: grpc.Server) -> None:
        add_RankingServiceServicer_to_server(RankingServicer(served), server)

    return serve(
        settings=settings,
        service_names=[SERVICE],
        add_services=add_services,
        announce=announce,
        load=lambda: served.put(load(Path(options.bundles), options.retrieval)),
    )


def load(root: Path, retrieval: str) -> Recommender:
    """The current bundle: verified, loaded, and warmed by one list of the size that will be ranked, and connected.

    Raises:
        BundleError: it cannot be used.
    """
    bundle = Bundle.open(BundleStore(root).current())
    client = RetrievalClient(retrieval, bundle)
    recommender = Recommender(bundle, client)
    popular = [bundle.items.id_of(int(row)) for row in bundle.items.popular[: bundle.manifest.candidate_count]]
    someone = User(history=[HistoryItem(item_id=popular[0])])
    recommender.rank(someone, tuple(popular), limit=1)
    client.connect()
    return recommender


if __name__ == "__main__":
    sys.exit(main())
