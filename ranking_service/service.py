"""The ranking service: its server, and the loading of its bundles."""

import grpc

from ranking_service.queries import RankQuery
from ranking_service.recommender import Recommender
from ranking_service.retrieval import RetrievalClient
from ranking_service.servicer import RankingServicer
from shortlist.bundle import Bundle, BundleStore
from shortlist.bundle.bundle import RANKER, USER_ENCODER
from shortlist.inference.users import UserQuery
from shortlist.ranking.v1.ranking_service_pb2 import DESCRIPTOR
from shortlist.ranking.v1.ranking_service_pb2_grpc import add_RankingServiceServicer_to_server
from shortlist.security.settings import ClientSecurity
from shortlist.serving.loading import opened, require_finite, warming
from shortlist.serving.served_bundles import ServedBundles
from shortlist.serving.server import serve
from shortlist.serving.settings import ServerSettings
from shortlist.serving.workers import Worker

SERVICE = DESCRIPTOR.services_by_name["RankingService"].full_name


def serve_ranking(settings: ServerSettings, retrieval: str, security: ClientSecurity, worker: Worker | None) -> int:
    """Serves the current bundle until a signal comes; returns the exit code.

    ``retrieval`` is the gRPC target of the retrieval service, called with ``security``.
    """
    client = RetrievalClient(retrieval, security)
    served = ServedBundles(BundleStore(settings.bundles), lambda directory: load(opened(directory, settings), client))

    def add_services(server: grpc.Server) -> None:
        add_RankingServiceServicer_to_server(RankingServicer(served), server)

    return serve(settings=settings, service_names=[SERVICE], add_services=add_services, loader=served, worker=worker)


def load(bundle: Bundle, retrieval: RetrievalClient) -> Recommender:
    """The recommender of a bundle, warmed up by one list of the usual size, and connected to retrieval.

    Raises:
        BundleError: the bundle cannot be used.
    """
    with warming(bundle):
        recommender = Recommender(bundle, retrieval)
        popular = [bundle.items.id_of(int(row)) for row in bundle.items.popular[: bundle.manifest.candidate_count]]
        someone = UserQuery(item_ids=(bundle.most_popular,), values=(float("nan"),), events=("",))
        answer = recommender.rank(RankQuery(user=someone, item_ids=tuple(popular), limit=len(popular)))
        require_finite(bundle, USER_ENCODER, recommender.encoder.of_item(int(bundle.items.popular[0])))
        require_finite(bundle, RANKER, answer.ranked.predictions)
    retrieval.connect(bundle)
    return recommender
