"""The ports of a server: for calls, for plaintext probes, and for Prometheus."""

import contextlib
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc

from shortlist.observability.metrics import start_metrics
from shortlist.serving.health import Health

_LOG = logging.getLogger(__name__)
# A connection stays with the process that accepted it. Clients must reconnect now and then, so that late processes get
# their share of the calls, and no connection keeps a thread waiting for ever.
CONNECTION_AGE = [("grpc.max_connection_age_ms", 60_000), ("grpc.max_connection_age_grace_ms", 30_000)]


class CannotListen(Exception):  # noqa: N818 - it is what happened
    """A port is not available."""


def listen_on(server: grpc.Server, listen: str, credentials: grpc.ServerCredentials | None = None) -> str:
    """Starts a server on HOST:PORT and returns its address, in which a free port has replaced port 0.

    Raises:
        CannotListen: the port is not available; says which and why.
    """
    try:
        port = server.add_secure_port(listen, credentials) if credentials else server.add_insecure_port(listen)
        server.start()
    except RuntimeError as error:
        raise CannotListen(f"cannot listen on {listen}: {error}") from error
    return f"{listen.rpartition(':')[0]}:{port}"


@contextlib.contextmanager
def health_server(health: Health, listen: str, *, shared: bool) -> Iterator[None]:
    """Answers only health checks, in plaintext: the kubelet's probes support neither TLS nor tokens."""
    options = [("grpc.so_reuseport", int(shared)), *CONNECTION_AGE]
    # Health checks have threads of their own; this thread refuses all other calls.
    server = grpc.server(ThreadPoolExecutor(1), options=options)
    health.add_to(server)
    _LOG.info("health on %s", listen_on(server, listen))
    try:
        yield
    finally:
        server.stop(None)


@contextlib.contextmanager
def metrics_server(listen: str) -> Iterator[None]:
    """Answers Prometheus on HOST:PORT while the block runs.

    Raises:
        CannotListen: the port is not available.
    """
    try:
        server = start_metrics(listen)
    except OSError as error:
        raise CannotListen(f"cannot listen on {listen}: {error}") from error
    _LOG.info("metrics on %s", server.address)
    try:
        yield
    finally:
        server.close()
