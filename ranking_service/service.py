"""The ranking service: its server and what it loads."""

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
from shortlist.settings import ServerSettings
from shortlist.type.v1.user_pb2 import HistoryItem, User
from shortlist.workers import Worker

SERVICE = DESCRIPTOR.services_by_name["RankingService"].full_name


def serve_ranking(settings: ServerSettings, bundles: Path, retrieval: str, worker: Worker | None) -> int:
    """Serves the current bundle until a signal comes; returns the exit code."""
    served: Served[Recommender] = Served()

    def add_services(server: grpc.Server) -> None:
        add_RankingServiceServicer_to_server(RankingServicer(served), server)

    return serve(
        settings=settings,
        service_names=[SERVICE],
        add_services=add_services,
        load=lambda: served.put(load(bundles, retrieval)),
        worker=worker,
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
