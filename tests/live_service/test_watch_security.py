"""Streams ask of their callers what single answers ask: a token, and a certificate with a rule."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
import trustme

from shortlist.live.v1 import catalog_service_pb2 as pb
from shortlist.live.v1.catalog_service_pb2_grpc import CatalogServiceStub
from testbed.services import Service

_SERVICE = "shortlist.live.v1.CatalogService"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """The authority that both ends trust."""
    return trustme.CA()


@pytest.fixture(scope="module")
def address(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A live service that wants a token, and lets one name watch and another hide."""
    folder = tmp_path_factory.mktemp("secure")
    leaf = authority.issue_cert("127.0.0.1")
    leaf.cert_chain_pems[0].write_to_path(folder / "server.crt")
    leaf.private_key_pem.write_to_path(folder / "server.key")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    (folder / "tokens").write_text("secret-token-of-the-test-0123456789\n")
    rules = f'"ranking.test" = ["{_SERVICE}/WatchChanges"]\n"shop.test" = ["{_SERVICE}/SetAvailability"]\n'
    (folder / "allow.toml").write_text(rules)
    arguments = ["--store", str(folder / "events.sqlite"), "--token-file", str(folder / "tokens")]
    arguments += ["--tls-cert", str(folder / "server.crt"), "--tls-key", str(folder / "server.key")]
    arguments += ["--tls-client-ca", str(folder / "ca.pem"), "--allow", str(folder / "allow.toml")]
    with Service.start("live_service", arguments, folder / "live.log") as service:
        yield service.address


@pytest.mark.integration
@pytest.mark.parametrize(
    ("name", "token", "code"),
    [
        ("ranking.test", "secret-token-of-the-test-0123456789", None),
        ("ranking.test", "another-token-of-the-test-0123456789", grpc.StatusCode.UNAUTHENTICATED),
        ("shop.test", "secret-token-of-the-test-0123456789", grpc.StatusCode.PERMISSION_DENIED),
        ("x.test", "secret-token-of-the-test-0123456789", grpc.StatusCode.PERMISSION_DENIED),
    ],
)
def test_only_those_who_may_watch(
    authority: trustme.CA, address: str, name: str, token: str, code: grpc.StatusCode | None
) -> None:
    """Proves that a stream without a token, or without a rule for it, is refused before it tells anything."""
    leaf = authority.issue_cert(name)
    credentials = grpc.ssl_channel_credentials(
        authority.cert_pem.bytes(), leaf.private_key_pem.bytes(), leaf.cert_chain_pems[0].bytes()
    )
    with grpc.secure_channel(address, credentials, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        metadata = (("authorization", f"Bearer {token}"),)
        watching = CatalogServiceStub(channel).WatchChanges(pb.WatchChangesRequest(), timeout=10, metadata=metadata)
        if code is None:
            assert next(watching).begins
            return
        with pytest.raises(grpc.RpcError) as raised:
            next(watching)
        assert raised.value.code() is code
