"""Ports: that of the calls, and the one for probes that cannot do TLS."""

import contextlib
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc

from shortlist.observability.metrics import start_metrics
from shortlist.serving.health import Health

_LOG = logging.getLogger(__name__)
# A connection stays with the process that took it: it is made anew now and then, so that a process that was started
# after its neighbours gets its share of the calls; and one that keeps a thread waiting does not do so for ever.
CONNECTION_AGE = [("grpc.max_connection_age_ms", 60_000), ("grpc.max_connection_age_grace_ms", 30_000)]


class CannotListen(Exception):  # noqa: N818 - it is what happened
    """A port is not to be had."""


def listen_on(server: grpc.Server, listen: str, credentials: grpc.ServerCredentials | None = None) -> str:
    """Starts a server on HOST:PORT, and says where it listens: port 0 has become a free one.

    Raises:
        CannotListen: says which and why.
    """
    try:
        port = server.add_secure_port(listen, credentials) if credentials else server.add_insecure_port(listen)
        server.start()
    except RuntimeError as error:
        raise CannotListen(f"cannot listen on {listen}: {error}") from error
    return f"{listen.rpartition(':')[0]}:{port}"


@contextlib.contextmanager
def health_server(health: Health, listen: str, *, shared: bool) -> Iterator[None]:
    """Answers for the health alone, in plain text: the kubelet's probes can do neither TLS nor tokens."""
    options = [("grpc.so_reuseport", int(shared)), *CONNECTION_AGE]
    # The health has threads of its own; this one takes what is asked for in vain.
    server = grpc.server(ThreadPoolExecutor(1), options=options)
    health.add_to(server)
    _LOG.info("health on %s", listen_on(server, listen))
    try:
        yield
    finally:
        server.stop(None)


@contextlib.contextmanager
def metrics_server(listen: str) -> Iterator[None]:
    """Answers Prometheus on HOST:PORT."""
    try:
        server = start_metrics(listen)
    except OSError as error:
        raise CannotListen(f"cannot listen on {listen}: {error}") from error
    _LOG.info("metrics on %s", server.address)
    try:
        yield
    finally:
        server.close()
