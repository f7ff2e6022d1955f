"""Serves a test's own ranking service on a real socket."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from shortlist.ranking.v1.ranking_service_pb2_grpc import RankingServiceServicer, add_RankingServiceServicer_to_server
from shortlist.serving.interceptor import CallInterceptor


@pytest.fixture
def start() -> Iterator[Callable[[RankingServiceServicer], str]]:
    """Starts a server for a servicer; returns its target."""
    server = grpc.server(ThreadPoolExecutor(4), interceptors=[CallInterceptor()])

    def start(servicer: RankingServiceServicer) -> str:
        add_RankingServiceServicer_to_server(servicer, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        return f"dns:///127.0.0.1:{port}"

    yield start
    server.stop(None)
