"""Both services as they run in production: mutual TLS, an allow list, and a token on the way between them."""

import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
import trustme

from shortlist.ranking.v1 import ranking_service_pb2 as ranking_pb
from shortlist.ranking.v1.ranking_service_pb2_grpc import RankingServiceStub
from shortlist.retrieval.v1 import retrieval_service_pb2 as retrieval_pb
from shortlist.retrieval.v1.retrieval_service_pb2_grpc import RetrievalServiceStub
from shortlist.security.metadata import call_metadata
from shortlist.security.settings import ClientSecurity
from shortlist.security.tls import channel_credentials
from shortlist.type.v1.user_pb2 import User
from testbed.services import Running, Service, ServiceFailed

pytestmark = pytest.mark.integration

# Files are looked at each second, here and in both services.
_STEP_SECONDS = 4.0
_RETRIEVAL_RULES = '"ranking.test" = ["shortlist.retrieval.v1.RetrievalService/*"]\n'
_RANKING_RULES = '"backend.test" = ["shortlist.ranking.v1.RankingService/Recommend"]\n'


@dataclass(frozen=True, kw_only=True)
class Secrets:
    """A folder with what both services and their caller have: one authority, one certificate each, one token."""

    folder: Path
    authority: trustme.CA

    def path(self, name: str) -> Path:
        return self.folder / name

    def write(self, name: str, text: str) -> str:
        self.path(name).write_text(text)
        return str(self.path(name))

    def issue(self, file: str, *names: str) -> None:
        """Writes ``file.key`` and ``file.crt``, over what there was."""
        leaf = self.authority.issue_cert(*names)
        leaf.private_key_pem.write_to_path(self.path(f"{file}.key"))
        leaf.cert_chain_pems[0].write_to_path(self.path(f"{file}.crt"))

    def server(self, name: str) -> list[str]:
        """The flags of a service that wants a certificate and goes by its allow list."""
        return [
            *("--tls-cert", str(self.path(f"{name}.crt")), "--tls-key", str(self.path(f"{name}.key"))),
            *("--tls-client-ca", str(self.path("ca.pem")), "--allow", str(self.path(f"{name}.toml"))),
        ]

    def client(self, name: str, token: str = "") -> ClientSecurity:
        """The certificate and key of a caller of this name."""
        return ClientSecurity(
            ca=self.path("ca.pem"),
            cert=self.path(f"{name}.crt"),
            key=self.path(f"{name}.key"),
            token_file=self.path(token) if token else None,
        )


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Secrets:
    """Written once for this file's tests."""
    made = Secrets(folder=tmp_path_factory.mktemp("secrets"), authority=trustme.CA())
    made.authority.cert_pem.write_to_path(made.path("ca.pem"))
    made.issue("retrieval", "127.0.0.1", "retrieval.test")
    made.issue("ranking", "127.0.0.1", "ranking.test")
    made.issue("backend", "backend.test")
    made.write("retrieval.toml", _RETRIEVAL_RULES)
    made.write("ranking.toml", _RANKING_RULES)
    made.write("tokens", "token-of-ranking\n")
    made.write("ranking-token", "token-of-ranking\n")
    made.write("other-token", "token-of-nobody\n")
    return made


@pytest.fixture(scope="module")
def secured(bundles: Path, secrets: Secrets, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Both services; ranking calls retrieval with a certificate and a token."""
    logs = tmp_path_factory.mktemp("logs")
    common = ["--bundles", str(bundles), "--profile", "production"]
    retrieval_flags = [*secrets.server("retrieval"), "--token-file", str(secrets.path("tokens"))]
    with Service.start("retrieval_service", [*common, *retrieval_flags], logs / "retrieval.log") as retrieval:
        ranking_flags = [
            *secrets.server("ranking"),
            *("--retrieval", f"dns:///{retrieval.address}", "--retrieval-ca", str(secrets.path("ca.pem"))),
            *(
                "--retrieval-cert",
                str(secrets.path("ranking.crt")),
                "--retrieval-key",
                str(secrets.path("ranking.key")),
            ),
            *("--retrieval-token-file", str(secrets.path("ranking-token"))),
        ]
        with Service.start("ranking_service", [*common, *ranking_flags], logs / "ranking.log") as ranking:
            yield Running(retrieval=retrieval, ranking=ranking)


@pytest.fixture(scope="module")
def bundles(bundle: Path) -> Path:
    """The directory that the trained bundle is in."""
    return bundle.parent


def _open(service: Service, security: ClientSecurity) -> grpc.Channel:
    """A connection of its own."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    credentials = channel_credentials(security)
    if credentials is None:
        return grpc.insecure_channel(service.address, options=options)
    return grpc.secure_channel(service.address, credentials, options=options)


def _recommend(running: Running, security: ClientSecurity) -> ranking_pb.RecommendResponse:
    request = ranking_pb.RecommendRequest(user=User(user_id="u5"), limit=10)
    with _open(running.ranking, security) as channel:
        return RankingServiceStub(channel).Recommend(request, timeout=10, metadata=call_metadata(security))


def _retrieve(running: Running, security: ClientSecurity) -> retrieval_pb.RetrieveResponse:
    request = retrieval_pb.RetrieveRequest(user=User(user_id="u5"), limit=10)
    with _open(running.retrieval, security) as channel:
        return RetrievalServiceStub(channel).Retrieve(request, timeout=10, metadata=call_metadata(security))


def _rank(running: Running, security: ClientSecurity) -> ranking_pb.RankResponse:
    request = ranking_pb.RankRequest(user=User(user_id="u5"), item_ids=["i1", "i2"], limit=2)
    with _open(running.ranking, security) as channel:
        return RankingServiceStub(channel).Rank(request, timeout=10, metadata=call_metadata(security))


def _code(call: Callable[..., object], *arguments: object) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments)
    return caught.value.code()


def test_one_call_goes_through_both_services(secured: Running, secrets: Secrets) -> None:
    """Not degraded, so that retrieval took ranking's certificate and token."""
    answer = _recommend(secured, secrets.client("backend"))
    assert not answer.degraded
    assert len(answer.items) == 10


def test_ranking_refuses_callers_without_a_certificate(secured: Running, secrets: Secrets) -> None:
    """In plaintext, and with TLS alone."""
    for security in (ClientSecurity(), ClientSecurity(ca=secrets.path("ca.pem"))):
        assert _code(_recommend, secured, security) == grpc.StatusCode.UNAVAILABLE


def test_a_caller_may_do_what_the_lists_say(secured: Running, secrets: Secrets) -> None:
    """The backend may call Recommend and not Rank; ranking's own certificate may not even call Recommend."""
    assert _code(_rank, secured, secrets.client("backend")) == grpc.StatusCode.PERMISSION_DENIED
    assert _code(_recommend, secured, secrets.client("ranking")) == grpc.StatusCode.PERMISSION_DENIED


def test_retrieval_takes_ranking_alone_and_only_with_its_token(secured: Running, secrets: Secrets) -> None:
    """The backend cannot go around ranking, not with the token either; and a certificate without a token is nothing."""
    assert len(_retrieve(secured, secrets.client("ranking", "ranking-token")).candidates) == 10
    for token in ("", "other-token"):
        assert _code(_retrieve, secured, secrets.client("ranking", token)) == grpc.StatusCode.UNAUTHENTICATED
    backend = secrets.client("backend", "ranking-token")
    assert _code(_retrieve, secured, backend) == grpc.StatusCode.PERMISSION_DENIED


def test_everything_is_replaced_while_calls_go_through(secured: Running, secrets: Secrets) -> None:
    """Certificates, ranking's name, its token, by way of lists that have both: no call fails, none is degraded."""
    former = "former-token"
    secrets.write(former, "token-of-ranking\n")

    def take_both() -> None:
        secrets.write("tokens", "token-of-ranking\nnext-token\n")
        secrets.write("retrieval.toml", _RETRIEVAL_RULES + _RETRIEVAL_RULES.replace("ranking.test", "next.test"))

    def replace() -> None:
        secrets.issue("retrieval", "127.0.0.1", "retrieval.test")
        secrets.issue("ranking", "127.0.0.1", "next.test")
        secrets.issue("backend", "backend.test")
        secrets.write("ranking-token", "next-token\n")

    def take_the_next() -> None:
        secrets.write("tokens", "next-token\n")
        secrets.write("retrieval.toml", _RETRIEVAL_RULES.replace("ranking.test", "next.test"))

    for step in (take_both, replace, take_the_next):
        step()
        end = time.monotonic() + _STEP_SECONDS
        while time.monotonic() < end:
            answer = _recommend(secured, secrets.client("backend"))
            assert not answer.degraded, step
    for service, name in ((secured.retrieval, "retrieval"), (secured.ranking, "ranking")):
        host, _, port = service.address.partition(":")
        assert ssl.get_server_certificate((host, int(port))) == secrets.path(f"{name}.crt").read_text()
    assert len(_retrieve(secured, secrets.client("ranking", "ranking-token")).candidates) == 10
    assert _code(_retrieve, secured, secrets.client("ranking", former)) == grpc.StatusCode.UNAUTHENTICATED


def test_a_service_with_a_broken_key_does_not_start(bundles: Path, secrets: Secrets, tmp_path: Path) -> None:
    """Exit code 2, and the file by name."""
    flags = ["--tls-cert", str(secrets.path("ca.pem")), "--tls-key", str(secrets.path("backend.key"))]
    with pytest.raises(ServiceFailed) as caught:
        Service.start("retrieval_service", ["--bundles", str(bundles), *flags], tmp_path / "log")
    assert caught.value.exit_code == 2
    assert "backend.key" in caught.value.log
