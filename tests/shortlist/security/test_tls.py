"""Who gets a connection, and who does not."""

from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from shortlist.security.settings import ClientSecurity, ServerSecurity
from shortlist.security.tls import channel_credentials, server_credentials

Issue = Callable[..., tuple[Path, Path]]
Serve = Callable[[ServerSecurity], str]
Call = Callable[[str, ClientSecurity], str]


@pytest.fixture
def mutual(issue: Issue, ca: Path) -> ServerSecurity:
    """A server of this machine that wants certificates of the authority."""
    cert, key = issue("127.0.0.1", file="server")
    return ServerSecurity(tls_cert=cert, tls_key=key, tls_client_ca=ca)


def test_both_ends_know_each_other(serve: Serve, call: Call, issue: Issue, ca: Path, mutual: ServerSecurity) -> None:
    """The server sees the name in the client's certificate."""
    cert, key = issue("backend.test")
    assert call(serve(mutual), ClientSecurity(ca=ca, cert=cert, key=key)) == "called by backend.test"


def test_without_a_client_ca_the_server_alone_shows_a_certificate(
    serve: Serve, call: Call, issue: Issue, ca: Path
) -> None:
    """TLS is of use without mutual TLS; the caller has no name then."""
    cert, key = issue("127.0.0.1")
    assert call(serve(ServerSecurity(tls_cert=cert, tls_key=key)), ClientSecurity(ca=ca)) == "called by "


def test_a_client_without_a_certificate_is_refused(serve: Serve, call: Call, ca: Path, mutual: ServerSecurity) -> None:
    """To trust the server is not enough."""
    assert call(serve(mutual), ClientSecurity(ca=ca)) == "UNAVAILABLE"


def test_a_client_of_another_authority_is_refused(
    serve: Serve, call: Call, issue: Issue, ca: Path, mutual: ServerSecurity
) -> None:
    """The name alone is worth nothing."""
    cert, key = issue("backend.test", by=trustme.CA())
    assert call(serve(mutual), ClientSecurity(ca=ca, cert=cert, key=key)) == "UNAVAILABLE"


def test_a_client_whose_certificate_has_expired_is_refused(
    serve: Serve, call: Call, issue: Issue, ca: Path, mutual: ServerSecurity
) -> None:
    """Yesterday's certificate."""
    cert, key = issue("backend.test", days_left=-1)
    assert call(serve(mutual), ClientSecurity(ca=ca, cert=cert, key=key)) == "UNAVAILABLE"


def test_plaintext_gets_nothing_from_a_server_with_tls(serve: Serve, call: Call, mutual: ServerSecurity) -> None:
    """There is one kind of port."""
    assert call(serve(mutual), ClientSecurity()) == "UNAVAILABLE"


def test_tls_gets_nothing_from_a_server_in_plaintext(serve: Serve, call: Call, ca: Path) -> None:
    """A client that wants TLS never falls back."""
    assert call(serve(ServerSecurity()), ClientSecurity(ca=ca)) == "UNAVAILABLE"


@pytest.mark.parametrize("wrong", ["elsewhere.test", "expired", "stranger"])
def test_a_client_refuses_a_server_that_it_cannot_trust(
    serve: Serve, call: Call, issue: Issue, ca: Path, wrong: str
) -> None:
    """A certificate for another name, one of yesterday, and one of an authority that it does not know."""
    cert, key = issue(
        "elsewhere.test" if wrong == "elsewhere.test" else "127.0.0.1",
        days_left=-1 if wrong == "expired" else 1,
        **({"by": trustme.CA()} if wrong == "stranger" else {}),
    )
    assert call(serve(ServerSecurity(tls_cert=cert, tls_key=key)), ClientSecurity(ca=ca)) == "UNAVAILABLE"


def test_nothing_given_is_plaintext(serve: Serve, call: Call) -> None:
    """Neither end has credentials, and they reach each other."""
    assert server_credentials(ServerSecurity()) is None
    assert channel_credentials(ClientSecurity()) is None
    assert call(serve(ServerSecurity()), ClientSecurity()) == "called by "
