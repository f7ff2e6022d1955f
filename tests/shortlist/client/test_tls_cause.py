"""Both clients and the command line against servers whose TLS settings do not fit theirs."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
import trustme

from shortlist.cli import main
from shortlist.client import AsyncRecommender, Recommender
from shortlist.errors import TlsMismatch, Unavailable
from shortlist.security.settings import ClientSecurity


@dataclass(frozen=True, kw_only=True)
class Files:
    """PEM files of an authority, of another one, and of a client that the other one signed."""

    ca: Path
    other_ca: Path
    other_cert: Path
    other_key: Path


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Signs the servers' certificates."""
    return trustme.CA()


@pytest.fixture(scope="module")
def files(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Written once."""
    folder, other = tmp_path_factory.mktemp("tls"), trustme.CA()
    made = Files(**{name: folder / name for name in ("ca", "other_ca", "other_cert", "other_key")})
    leaf = other.issue_cert("backend.test")
    authority.cert_pem.write_to_path(made.ca)
    other.cert_pem.write_to_path(made.other_ca)
    leaf.cert_chain_pems[0].write_to_path(made.other_cert)
    leaf.private_key_pem.write_to_path(made.other_key)
    return made


@pytest.fixture(scope="module")
def servers(authority: trustme.CA) -> Iterator[dict[str, str]]:
    """The addresses of servers without a method, by their kind of credentials."""
    now = datetime.now(UTC).replace(tzinfo=None)
    start, end = now - timedelta(days=2), now - timedelta(days=1)
    good, ca = authority.issue_cert("127.0.0.1"), authority.cert_pem.bytes()
    credentials = {
        "plaintext": None,
        "tls": _credentials(good),
        "mutual": _credentials(good, ca),
        "misnamed": _credentials(authority.issue_cert("other.test")),
        "expired": _credentials(authority.issue_cert("127.0.0.1", not_before=start, not_after=end)),
    }
    started, addresses = [], {}
    for kind, one in credentials.items():
        server = grpc.server(ThreadPoolExecutor(1))
        port = server.add_secure_port("127.0.0.1:0", one) if one else server.add_insecure_port("127.0.0.1:0")
        server.start()
        started.append(server)
        addresses[kind] = f"127.0.0.1:{port}"
    yield addresses
    for server in started:
        server.stop(None)


def _credentials(leaf: trustme.LeafCert, client_ca: bytes | None = None) -> grpc.ServerCredentials:
    pair = leaf.private_key_pem.bytes(), leaf.cert_chain_pems[0].bytes()
    return grpc.ssl_server_credentials([pair], client_ca, client_ca is not None)


@pytest.mark.parametrize(
    ("server", "given", "cause"),
    [
        ("tls", {}, "it probably wants TLS, so give the CA"),
        ("mutual", {}, "it probably wants TLS, so give the CA"),
        ("plaintext", {"ca": "ca"}, "the server speaks plaintext and this client TLS"),
        ("tls", {"ca": "other_ca"}, "refuses the server's certificate (unable to get local issuer certificate)"),
        ("misnamed", {"ca": "ca"}, "the server's certificate is for another name"),
        ("expired", {"ca": "ca"}, "refuses the server's certificate (certificate has expired); renew it"),
        ("mutual", {"ca": "ca"}, "it probably refuses clients without a certificate"),
        ("mutual", {"ca": "ca", "cert": "other_cert", "key": "other_key"}, "refuses this client's certificate"),
    ],
)
def test_a_tls_mistake_is_named_with_its_remedy(
    servers: dict[str, str],
    files: Files,
    capsys: pytest.CaptureFixture[str],
    server: str,
    given: dict[str, str],
    cause: str,
) -> None:
    """No text advises to try again: with these mistakes that would never help."""
    paths = {setting: getattr(files, name) for setting, name in given.items()}
    security, target = ClientSecurity(**paths), servers[server]
    with Recommender(target, security=security, timeout=5) as recommender, pytest.raises(TlsMismatch) as caught:
        recommender.recommend()
    assert cause in str(caught.value)
    with pytest.raises(TlsMismatch) as caught:
        asyncio.run(_recommend(target, security))
    assert cause in str(caught.value)
    flags = [text for setting, path in paths.items() for text in (f"--ranking-{setting}", str(path))]
    assert main(["recommend", "--target", target, "--timeout", "5", *flags]) == 1
    complaint = capsys.readouterr().err
    assert cause in complaint
    assert "try again" not in complaint


async def _recommend(target: str, security: ClientSecurity) -> None:
    async with AsyncRecommender(target, security=security, timeout=5) as recommender:
        await recommender.recommend()


def test_an_unreachable_server_is_no_tls_mistake(files: Files) -> None:
    """A service that is down may come back, so that trying again helps."""
    for security in (ClientSecurity(), ClientSecurity(ca=files.ca)):
        with Recommender("127.0.0.1:1", security=security) as recommender, pytest.raises(Unavailable) as caught:
            recommender.recommend()
        assert type(caught.value) is Unavailable
