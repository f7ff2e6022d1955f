"""Bearer tokens and the allow list."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from shortlist.security.settings import ClientSecurity, ServerSecurity

Issue = Callable[..., tuple[Path, Path]]
Serve = Callable[[ServerSecurity], str]
Call = Callable[..., str]
RECOMMEND, RANK, HEALTH = (
    "shortlist.ranking.v1.RankingService/Recommend",
    "shortlist.ranking.v1.RankingService/Rank",
    "grpc.health.v1.Health/Check",
)
_SECONDS = 10.0


@pytest.fixture
def server(issue: Issue) -> ServerSecurity:
    """The settings of a local server with TLS."""
    cert, key = issue("127.0.0.1", file="server")
    return ServerSecurity(tls_cert=cert, tls_key=key)


@pytest.fixture
def client(issue: Issue, ca: Path) -> ClientSecurity:
    """The settings of a caller with a certificate for two names."""
    cert, key = issue("backend.test", "10.0.0.1", file="client")
    return ClientSecurity(ca=ca, cert=cert, key=key)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Writes a file into the test's folder."""

    def write(name: str, text: str) -> Path:
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


Write = Callable[[str, str], Path]


def _eventually(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + _SECONDS
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("token", "answer"),
    [
        ("first-token", "called by "),
        ("second-token", "called by "),
        ("third-token", "UNAUTHENTICATED"),
        ("first-toke", "UNAUTHENTICATED"),
        ("first-token-", "UNAUTHENTICATED"),
        ("", "UNAUTHENTICATED"),
    ],
)
def test_a_call_needs_one_of_the_tokens(
    serve: Serve, call: Call, write: Write, server: ServerSecurity, ca: Path, token: str, answer: str
) -> None:
    """Each line of the file is a token; empty lines are skipped. A part of a token, or a longer one, is refused."""
    address = serve(replace(server, token_file=write("tokens", "first-token\n\n  second-token\n")))
    client = ClientSecurity(ca=ca, token_file=write("token", token) if token else None)
    assert call(address, client) == answer


def test_a_token_is_replaced_without_a_failed_call(
    serve: Serve, call: Call, write: Write, server: ServerSecurity, ca: Path
) -> None:
    """The server accepts both while the client changes from one to the other; then it refuses the old one."""
    address = serve(replace(server, token_file=write("tokens", "old")))
    changing = ClientSecurity(ca=ca, token_file=write("token", "old"))
    remembering = ClientSecurity(ca=ca, token_file=write("old", "old"))
    foreseeing = ClientSecurity(ca=ca, token_file=write("new", "new"))

    assert (call(address, changing), call(address, foreseeing)) == ("called by ", "UNAUTHENTICATED")
    write("tokens", "old\nnew\n")
    _eventually(lambda: call(address, foreseeing) == "called by ")
    write("token", "new")
    for _ in range(10):
        assert call(address, changing) == "called by "
        time.sleep(0.01)
    write("tokens", "new")
    _eventually(lambda: call(address, remembering) == "UNAUTHENTICATED")
    assert call(address, changing) == "called by "


def test_a_token_file_that_becomes_empty_keeps_the_old_tokens(
    serve: Serve, call: Call, write: Write, server: ServerSecurity, ca: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It means neither "no token needed" nor "nobody may call", and the log contains no token."""
    address = serve(replace(server, token_file=write("tokens", "secret-one")))
    known = ClientSecurity(ca=ca, token_file=write("token", "secret-one"))
    with caplog.at_level(logging.INFO):
        for text in ("", "secret two"):
            write("tokens", text)
            for _ in range(5):
                time.sleep(0.02)
                assert (call(address, known), call(address, ClientSecurity(ca=ca))) == ("called by ", "UNAUTHENTICATED")
    assert "has no token" in caplog.text
    assert "secret" not in caplog.text


RULES = """
"backend.test" = ["shortlist.ranking.v1.RankingService/Recommend"]
"spiffe://test/ops" = ["shortlist.ranking.v1.RankingService/*"]
"""


@pytest.mark.parametrize(
    ("names", "method", "answer"),
    [
        (["backend.test"], RECOMMEND, "called by backend.test"),
        (["backend.test"], RANK, "PERMISSION_DENIED"),
        (["other.test"], RECOMMEND, "PERMISSION_DENIED"),
        (["sub.backend.test"], RECOMMEND, "PERMISSION_DENIED"),
        (["other.test", "backend.test"], RECOMMEND, "called by other.test backend.test"),
    ],
)
def test_a_certificate_may_call_the_methods_listed_for_its_name(
    serve: Serve,
    call: Call,
    issue: Issue,
    write: Write,
    server: ServerSecurity,
    ca: Path,
    names: list[str],
    method: str,
    answer: str,
) -> None:
    """Only the exact method for the exact name; one of several names is enough."""
    cert, key = issue(*names, file="client")
    address = serve(replace(server, tls_client_ca=ca, allow=write("allow.toml", RULES)))
    assert call(address, ClientSecurity(ca=ca, cert=cert, key=key), method) == answer


def test_a_star_is_every_method_of_one_service(
    serve: Serve, call: Call, write: Write, server: ServerSecurity, client: ClientSecurity, ca: Path
) -> None:
    """The methods of another service are not included."""
    star = replace(
        server, tls_client_ca=ca, allow=write("star.toml", '"10.0.0.1" = ["shortlist.ranking.v1.RankingService/*"]')
    )
    other = '"10.0.0.1" = ["shortlist.retrieval.v1.RetrievalService/*"]'
    another = replace(server, tls_client_ca=ca, allow=write("another.toml", other))
    for method in (RECOMMEND, RANK):
        assert call(serve(star), client, method) == "called by backend.test 10.0.0.1"
        assert call(serve(another), client, method) == "PERMISSION_DENIED"


def test_a_changed_list_is_read_again_and_a_broken_one_ignored(
    serve: Serve,
    call: Call,
    write: Write,
    server: ServerSecurity,
    client: ClientSecurity,
    ca: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Rules can be granted and revoked. A malformed list or a misspelt method changes nothing, and is an error."""
    address = serve(replace(server, tls_client_ca=ca, allow=write("allow.toml", '"backend.test" = []')))
    assert call(address, client) == "PERMISSION_DENIED"
    write("allow.toml", RULES)
    _eventually(lambda: call(address, client).startswith("called by"))
    for broken in ("Ran", 'Ran"]'):
        write("allow.toml", f'"backend.test" = ["shortlist.ranking.v1.RankingService/{broken}')
        caplog.clear()
        for _ in range(5):
            time.sleep(0.02)
            assert call(address, client).startswith("called by")
            assert call(address, client, RANK) == "PERMISSION_DENIED"
        assert [record.levelname for record in caplog.records if "allow.toml" in record.message] == ["ERROR"]
    write("allow.toml", "")
    _eventually(lambda: call(address, client) == "PERMISSION_DENIED")


def test_a_call_needs_both_token_and_certificate_when_both_are_required(
    serve: Serve, call: Call, write: Write, server: ServerSecurity, client: ClientSecurity, ca: Path
) -> None:
    """Neither a listed certificate nor a valid token is enough alone."""
    tokens, rules = write("tokens", "token"), write("allow.toml", RULES)
    address = serve(replace(server, tls_client_ca=ca, allow=rules, token_file=tokens))
    assert call(address, client) == "UNAUTHENTICATED"
    with_token = replace(client, token_file=write("token", "token"))
    assert call(address, with_token) == "called by backend.test 10.0.0.1"
    assert call(address, with_token, RANK) == "PERMISSION_DENIED"
