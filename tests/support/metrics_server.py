"""A metrics server within the test's own process."""

import urllib.request
from collections.abc import Iterator

import pytest

from shortlist.serving.metrics_port import MetricsServer, start_metrics


@pytest.fixture
def server() -> Iterator[MetricsServer]:
    """A metrics server on a free port."""
    server = start_metrics("127.0.0.1:0")
    yield server
    server.close()


def read(server: MetricsServer) -> str:
    with urllib.request.urlopen(f"http://{server.address}/metrics", timeout=5) as response:
        text: str = response.read().decode()
    return text
