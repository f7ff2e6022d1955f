"""TLS decides which clients and servers can connect."""

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
    """The settings of a local server that requires certificates of the authority."""
    cert, key = issue("127.0.0.1", file="server")
    return ServerSecurity(tls_cert=cert, tls_key=key, tls_client_ca=ca)


def test_both_ends_know_each_other(serve: Serve, call: Call, issue: Issue, ca: Path, mutual: ServerSecurity) -> None:
    """The server sees the name in the client's certificate."""
    cert, key = issue("backend.test")
    assert call(serve(mutual), ClientSecurity(ca=ca, cert=cert, key=key)) == "called by backend.test"


def test_without_a_client_ca_the_server_alone_shows_a_certificate(
    serve: Serve, call: Call, issue: Issue, ca: Path
) -> None:
    """TLS works without client certificates; the caller has no name then."""
    cert, key = issue("127.0.0.1")
    assert call(serve(ServerSecurity(tls_cert=cert, tls_key=key)), ClientSecurity(ca=ca)) == "called by "


def test_a_client_without_a_certificate_is_refused(serve: Serve, call: Call, ca: Path, mutual: ServerSecurity) -> None:
    """Trusting the server is not enough."""
    assert call(serve(mutual), ClientSecurity(ca=ca)) == "UNAVAILABLE"


def test_a_client_of_another_authority_is_refused(
    serve: Serve, call: Call, issue: Issue, ca: Path, mutual: ServerSecurity
) -> None:
    """The right name alone is worth nothing."""
    cert, key = issue("backend.test", by=trustme.CA())
    assert call(serve(mutual), ClientSecurity(ca=ca, cert=cert, key=key)) == "UNAVAILABLE"


def test_a_client_whose_certificate_has_expired_is_refused(
    serve: Serve, call: Call, issue: Issue, ca: Path, mutual: ServerSecurity
) -> None:
    """The certificate ended yesterday."""
    cert, key = issue("backend.test", days_left=-1)
    assert call(serve(mutual), ClientSecurity(ca=ca, cert=cert, key=key)) == "UNAVAILABLE"


def test_plaintext_gets_nothing_from_a_server_with_tls(serve: Serve, call: Call, mutual: ServerSecurity) -> None:
    """A port speaks either TLS or plaintext."""
    assert call(serve(mutual), ClientSecurity()) == "UNAVAILABLE"


def test_tls_gets_nothing_from_a_server_in_plaintext(serve: Serve, call: Call, ca: Path) -> None:
    """A client that wants TLS never falls back to plaintext."""
    assert call(serve(ServerSecurity()), ClientSecurity(ca=ca)) == "UNAVAILABLE"


@pytest.mark.parametrize("wrong", ["elsewhere.test", "expired", "stranger"])
def test_a_client_refuses_a_server_that_it_cannot_trust(
    serve: Serve, call: Call, issue: Issue, ca: Path, wrong: str
) -> None:
    """It refuses another name, an expired certificate and an unknown authority."""
    cert, key = issue(
        "elsewhere.test" if wrong == "elsewhere.test" else "127.0.0.1",
        days_left=-1 if wrong == "expired" else 1,
        **({"by": trustme.CA()} if wrong == "stranger" else {}),
    )
    assert call(serve(ServerSecurity(tls_cert=cert, tls_key=key)), ClientSecurity(ca=ca)) == "UNAVAILABLE"


def test_without_settings_both_ends_speak_plaintext(serve: Serve, call: Call) -> None:
    """Neither end has credentials, and the call succeeds."""
    assert server_credentials(ServerSecurity()) is None
    assert channel_credentials(ClientSecurity()) is None
    assert call(serve(ServerSecurity()), ClientSecurity()) == "called by "
