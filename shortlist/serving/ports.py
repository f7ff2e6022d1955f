"""The ports of a server: for calls, for plaintext probes, and for Prometheus."""

import contextlib
import logging
import socket
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import grpc

from shortlist.serving.health import Health
from shortlist.serving.metrics_port import start_metrics
from shortlist.serving.pools import CallingThread

_LOG = logging.getLogger(__name__)
# A connection stays with the process that accepted it. Clients must reconnect now and then, so that late processes get
# their share of the calls, and no connection keeps a thread waiting for ever.
_CONNECTION_AGE = [("grpc.max_connection_age_ms", 60_000), ("grpc.max_connection_age_grace_ms", 30_000)]
_FLOODS = [
    # More than the places of a default server, so that one connection can use it whole. The rest of a burst waits at
    # the client, and not in front of the calls of others.
    ("grpc.max_concurrent_streams", 200),
    # Beyond that limit gRPC keeps so many ended streams of a connection until nothing of them is left. A connection
    # that resets its streams then waits for its own remains. A client at its limit opens a stream as soon as another
    # one ends. With fewer remains, gRPC would refuse it, unseen by admission.
    ("grpc.http2.max_deallocating_streams", 400),
    # Beyond its own limits gRPC cancels calls, without a reason and unseen by metrics. Admission refuses them instead.
    # Not without limits, for each such call takes 13 kB, and health checks wait behind them.
    ("grpc.server.max_pending_requests", 3_000),
    ("grpc.server.max_pending_requests_hard_limit", 6_000),
]
MAX_MESSAGE_BYTES = 4 * 1024 * 1024
MAX_METADATA_BYTES = 8 * 1024
_LIMITS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_metadata_size", MAX_METADATA_BYTES),
    ("grpc.absolute_max_metadata_size", MAX_METADATA_BYTES),
]
_KEEPALIVE = [("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000), ("grpc.keepalive_permit_without_calls", 1)]


class CannotListen(Exception):  # noqa: N818 - it is what happened
    """A port is not available."""


@dataclass(frozen=True, kw_only=True)
class Listening:
    """A started server's ``address``, and the threads of gRPC that serve it until it stops."""

    address: str
    threads: Sequence[threading.Thread]


def server_options(*, shared: bool) -> list[tuple[str, int]]:
    """The options of a server for calls. Workers have a ``shared`` port.

    Without sharing, a forgotten server cannot take half of the calls of a new one.
    """
    return [*_options(shared=shared), *_LIMITS, *_KEEPALIVE]


def _options(*, shared: bool) -> list[tuple[str, int]]:
    return [("grpc.so_reuseport", int(shared)), *_CONNECTION_AGE, *_FLOODS]


def listen_on(server: grpc.Server, listen: str, credentials: grpc.ServerCredentials | None = None) -> Listening:
    """Starts a server on HOST:PORT. A free port replaces port 0.

    Raises:
        CannotListen: the port is not available; says which and why.
    """
    former = set(threading.enumerate())
    try:
        port = server.add_secure_port(listen, credentials) if credentials else server.add_insecure_port(listen)
        server.start()
    except RuntimeError as error:
        raise CannotListen(f"cannot listen on {listen}: {_refusal(listen) or error}") from error
    started = [thread for thread in threading.enumerate() if thread not in former]
    return Listening(address=f"{listen.rpartition(':')[0]}:{port}", threads=started)


def _refusal(listen: str) -> str:
    """The system's reason against an address, which gRPC does not give; empty without one."""
    host, _, port = listen.rpartition(":")
    try:
        [family, kind, _, _, address] = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as tried:
            tried.bind(address)
    except OSError as error:
        return error.strerror or str(error)
    return ""


@contextlib.contextmanager
def health_server(health: Health, listen: str, *, shared: bool) -> Iterator[Listening]:
    """Answers only health checks, in plaintext: the kubelet's probes support neither TLS nor tokens."""
    options = _options(shared=shared)
    # Health checks have pools of their own, and gRPC refuses all other calls.
    server = grpc.server(CallingThread(1), options=options)
    health.add_to(server)
    listening = listen_on(server, listen)
    _LOG.info("health on %s", listening.address)
    try:
        yield listening
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
