"""The port of the metrics, beside callers who are slow or say nothing."""

import contextlib
import os
import socket
import threading
import time

import pytest

from shortlist.serving import metrics_port
from shortlist.serving.metrics_port import MetricsServer, start_metrics
from tests.support.metrics_server import read
from tests.support.metrics_server import server as server


def connect(server: MetricsServer) -> socket.socket:
    host, _, port = server.address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=5)


def test_a_taken_port_is_an_oserror() -> None:
    """So the server can name the port that it could not open."""
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        start_metrics(f"127.0.0.1:{taken.getsockname()[1]}")


def test_the_port_is_free_once_closed() -> None:
    """A service can restart at once on the same port."""
    former = start_metrics("127.0.0.1:0")
    read(former)
    former.close()
    again = start_metrics(former.address)
    assert again.address == former.address
    again.close()


def test_silent_connections_take_neither_threads_nor_descriptors(server: MetricsServer) -> None:
    """Prometheus is answered beside a hundred connections, of which few stay open."""
    threads, files = threading.active_count(), len(os.listdir("/proc/self/fd"))
    with contextlib.ExitStack() as connections:
        for _ in range(100):
            connections.enter_context(connect(server)).sendall(b"GET /met")
        assert "shortlist_shed_total" in read(server)
        assert threading.active_count() <= threads
        # The test's own ends, and the few of the server.
        assert len(os.listdir("/proc/self/fd")) <= files + 100 + 20


def test_a_connection_that_asks_too_slowly_ends(monkeypatch: pytest.MonkeyPatch, server: MetricsServer) -> None:
    """A caller who sends a byte now and then is cut off after a few seconds."""
    monkeypatch.setattr(metrics_port, "_SECONDS", 0.1)
    with connect(server) as slow:
        for _ in range(100):
            try:
                slow.sendall(b"G")
            except OSError:
                return
            time.sleep(0.05)
    pytest.fail("the connection stayed open")
