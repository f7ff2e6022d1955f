"""The ranking service: its server, and the loading of its bundles."""

import contextlib
from collections.abc import Iterator

import grpc

from ranking_service.queries import RankQuery
from ranking_service.recommender import Recommender
from ranking_service.retrieval import RetrievalClient
from ranking_service.served_log import ServedLog
from ranking_service.servicer import RankingServicer
from shortlist.bundle import Bundle, BundleStore
from shortlist.bundle.bundle import RANKER
from shortlist.catalog.followed import FollowedLoader
from shortlist.live_histories.client import LiveClient
from shortlist.ranking.v1.ranking_service_pb2 import DESCRIPTOR
from shortlist.ranking.v1.ranking_service_pb2_grpc import add_RankingServiceServicer_to_server
from shortlist.security.settings import ClientSecurity
from shortlist.serving.checking import check, check_encoder, first_user
from shortlist.serving.loading import opened, require_finite, require_shape, warmed_up
from shortlist.serving.served_bundles import ServedBundles
from shortlist.serving.server import Loader, serve
from shortlist.serving.settings import BundleSettings, ServerSettings
from shortlist.serving.worker import Worker

SERVICE = DESCRIPTOR.services_by_name["RankingService"].full_name


def serve_ranking(
    settings: ServerSettings,
    bundles: BundleSettings,
    client: RetrievalClient,
    live: LiveClient | None,
    log: ServedLog | None,
    worker: Worker | None,
) -> int:
    """Serves the current bundle until a signal comes, with a live service and a ``log`` or without; the exit code."""
    store = BundleStore(bundles.directory)
    served = ServedBundles(store, lambda directory: load(opened(directory, bundles.public_key), client, live))

    def add_services(server: grpc.Server) -> None:
        add_RankingServiceServicer_to_server(RankingServicer(served, log), server)

    loader: Loader = served if log is None else _Logging(served, log)
    loader = FollowedLoader(loader, live.follower) if live else loader
    return serve(settings=settings, service_names=[SERVICE], add_services=add_services, loader=loader, worker=worker)


class _Logging:
    """The loader of a service with a log, which is complete once the server has stopped."""

    def __init__(self, served: ServedBundles[Recommender], log: ServedLog) -> None:
        self._served, self._log = served, log
        self.load = served.load

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        with self._log.writing(), self._served.watching():
            yield


def check_ranking(bundles: BundleSettings, bundle_id: str) -> int:
    """Loads a bundle as the service does; returns the exit code, 0 when it can be served and 3 when not."""
    # It connects to nothing, for no call is made.
    client = RetrievalClient("dns:///localhost", ClientSecurity())
    return check(bundles.directory / bundle_id, bundles.public_key, lambda bundle: _warmed_up(bundle, client))


def load(bundle: Bundle, retrieval: RetrievalClient, live: LiveClient | None = None) -> Recommender:
    """The recommender of a bundle, warmed up by lists of the usual size, and connected to retrieval.

    Raises:
        BundleError: the bundle cannot be used.
    """
    recommender = _warmed_up(bundle, retrieval, live)
    retrieval.connect(bundle)
    return recommender


def _warmed_up(bundle: Bundle, retrieval: RetrievalClient, live: LiveClient | None = None) -> Recommender:
    return warmed_up(bundle, lambda: _load(bundle, retrieval, live))


def _load(bundle: Bundle, retrieval: RetrievalClient, live: LiveClient | None) -> Recommender:
    recommender = Recommender(bundle, retrieval, live)
    check_encoder(bundle, recommender.encoder)
    popular = [bundle.items.id_of(int(row)) for row in bundle.items.popular[: bundle.manifest.candidate_count]]
    query = RankQuery(user=first_user(bundle), item_ids=tuple(popular), limit=len(popular))
    for logits in recommender.logits([query, query]):
        require_shape(bundle, RANKER, logits, len(popular), len(bundle.manifest.objectives))
    require_finite(bundle, RANKER, recommender.rank(query).ranked.predictions)
    return recommender
