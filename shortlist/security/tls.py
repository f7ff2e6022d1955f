"""TLS for servers and clients, from files that may be replaced while the process runs."""

import functools
from pathlib import Path

import grpc

from shortlist.security.files import WatchedFiles
from shortlist.security.pem import read_authorities, read_identity
from shortlist.security.settings import ClientSecurity, ServerSecurity


def server_credentials(security: ServerSecurity) -> grpc.ServerCredentials | None:
    """The credentials of a port; None for plaintext. Each new connection gets the current certificate.

    Open connections keep the certificates that they began with.

    Raises:
        ValueError: the files cannot be used.
    """
    cert, key, client_ca = security.tls_cert, security.tls_key, security.tls_client_ca
    if cert is None or key is None:
        return None
    files = WatchedFiles(_given(cert, key, client_ca), lambda: _configuration(cert, key, client_ca))
    used = files.value()

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        nonlocal used
        current = files.value()
        if current is used:
            # None keeps the former configuration. Otherwise gRPC would set up OpenSSL again for each connection.
            return None
        used = current
        return current

    return grpc.dynamic_ssl_server_credentials(used, fetch, require_client_authentication=client_ca is not None)  # type: ignore[arg-type]  # None is allowed


def channel_credentials(security: ClientSecurity) -> grpc.ChannelCredentials | None:
    """The credentials of a channel; None for plaintext. Returns the same object until the files change.

    A channel never changes its credentials. So its owner compares this object with the former one, and opens a new
    channel when they differ. Files that change to unusable contents count as unchanged.

    Raises:
        ValueError: the files cannot be used, and never could.
    """
    watched = _watched(security)
    return None if watched is None else watched.value()


@functools.cache
def _watched(security: ClientSecurity) -> WatchedFiles[grpc.ChannelCredentials] | None:
    if security.ca is None:
        return None
    return WatchedFiles(_given(security.ca, security.cert, security.key), lambda: _credentials(security))


def _given(*paths: Path | None) -> list[Path]:
    return [path for path in paths if path is not None]


def _configuration(cert: Path, key: Path, client_ca: Path | None) -> grpc.ServerCertificateConfiguration:
    chain, private_key = read_identity(cert, key)
    authorities = None if client_ca is None else read_authorities(client_ca)
    return grpc.ssl_server_certificate_configuration([(private_key, chain)], authorities)


def _credentials(security: ClientSecurity) -> grpc.ChannelCredentials:
    assert security.ca is not None
    authorities = read_authorities(security.ca)
    if security.cert is None or security.key is None:
        return grpc.ssl_channel_credentials(authorities)
    chain, private_key = read_identity(security.cert, security.key)
    return grpc.ssl_channel_credentials(authorities, private_key, chain)
