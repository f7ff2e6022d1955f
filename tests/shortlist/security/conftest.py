"""Authorities, certificates, and a small server on a real socket that checks its callers."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
import trustme
from grpc_health.v1 import health
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server

from shortlist.security import files
from shortlist.security.metadata import call_metadata
from shortlist.security.settings import ClientSecurity, ServerSecurity
from shortlist.security.tls import channel_credentials, server_credentials
from shortlist.serving.admission import AdmissionPool
from shortlist.serving.interceptor import interceptor

# The allow list accepts real methods only.
SERVICE = "shortlist.ranking.v1.RankingService"
_OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]


@pytest.fixture(autouse=True)
def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks files a hundred times as often as in production."""
    monkeypatch.setattr(files, "_CHECK_SECONDS", 0.01)


@pytest.fixture
def authority() -> trustme.CA:
    """The authority that both ends trust by default."""
    return trustme.CA()


@pytest.fixture
def ca(authority: trustme.CA, tmp_path: Path) -> Path:
    """The path of the authority's certificate."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


@pytest.fixture
def issue(authority: trustme.CA, tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """Writes a certificate for names, and its key, into files that start with ``file``."""

    def issue(
        *names: str, file: str = "", by: trustme.CA = authority, days_left: int = 1, folder: Path = tmp_path
    ) -> tuple[Path, Path]:
        now = datetime.now(UTC).replace(tzinfo=None)
        leaf = by.issue_cert(*names, not_before=now - timedelta(days=3), not_after=now + timedelta(days=days_left))
        cert, key = folder / f"{file or names[0]}.crt", folder / f"{file or names[0]}.key"
        leaf.private_key_pem.write_to_path(key)
        leaf.cert_chain_pems[0].write_to_path(cert)
        return cert, key

    return issue


@pytest.fixture
def serve() -> Iterator[Callable[[ServerSecurity], str]]:
    """Starts a server whose two methods return the names in the caller's certificate; gives its address."""
    servers: list[grpc.Server] = []

    def serve(security: ServerSecurity) -> str:
        pool = AdmissionPool(threads=4, queue=4)
        server = grpc.server(pool, interceptors=[interceptor(security, pool)])
        handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            name: grpc.unary_unary_rpc_method_handler(_names, request_deserializer=bytes, response_serializer=bytes)
            for name in ("Recommend", "Rank")
        }
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, handlers)])
        add_HealthServicer_to_server(health.HealthServicer(), server)
        credentials = server_credentials(security)
        if credentials is None:
            port = server.add_insecure_port("127.0.0.1:0")
        else:
            port = server.add_secure_port("127.0.0.1:0", credentials)
        server.start()
        servers.append(server)
        return f"127.0.0.1:{port}"

    yield serve
    for server in servers:
        server.stop(None).wait()


@pytest.fixture
def call() -> Callable[..., str]:
    """Calls a method over a new connection; returns the answer, or the name of the status code."""

    def call(address: str, security: ClientSecurity, method: str = f"{SERVICE}/Recommend") -> str:
        credentials = channel_credentials(security)
        if credentials is None:
            channel = grpc.insecure_channel(address, options=_OWN_CONNECTION)
        else:
            channel = grpc.secure_channel(address, credentials, options=_OWN_CONNECTION)
        with channel:
            stub: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"/{method}")
            try:
                return stub(b"", timeout=5, metadata=call_metadata(security)).decode()
            except grpc.RpcError as error:
                return error.code().name

    return call


def _names(request: bytes, context: grpc.ServicerContext) -> bytes:
    names: list[bytes] = context.auth_context().get("x509_subject_alternative_name", [])  # type: ignore[assignment]
    return b"called by " + b" ".join(names)
