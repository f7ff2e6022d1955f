"""Certificates, keys and authorities are replaced while calls are made."""

import contextlib
import logging
import os
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from shortlist.security.settings import ClientSecurity, ServerSecurity
from shortlist.security.tls import channel_credentials

Issue = Callable[..., tuple[Path, Path]]
Serve = Callable[[ServerSecurity], str]
Call = Callable[[str, ClientSecurity], str]
_SECONDS = 10.0


def _shown(address: str) -> str:
    """The certificate that a server shows to a new connection."""
    host, _, port = address.partition(":")
    return ssl.get_server_certificate((host, int(port)))


def _eventually(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + _SECONDS
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


@contextlib.contextmanager
def _calling(call: Callable[[], str]) -> Iterator[list[str]]:
    """Calls without pause in another thread; yields the answers so far."""
    answers, stop = list[str](), threading.Event()

    def run() -> None:
        while not stop.is_set():
            answers.append(call())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield answers
    finally:
        stop.set()
        thread.join()


def test_a_server_gets_a_new_certificate_without_a_failed_call(
    serve: Serve, call: Call, issue: Issue, ca: Path
) -> None:
    """Every call opens a connection. The key and then the certificate are written over the old ones."""
    cert, key = issue("127.0.0.1", file="server")
    address = serve(ServerSecurity(tls_cert=cert, tls_key=key))
    first = _shown(address)
    with _calling(lambda: call(address, ClientSecurity(ca=ca))) as answers:
        _eventually(lambda: len(answers) > 20)
        issue("127.0.0.1", file="server")
        _eventually(lambda: _shown(address) != first)
        before = len(answers)
        _eventually(lambda: len(answers) > before + 20)
    assert set(answers) == {"called by "}
    assert _shown(address) == cert.read_text()


def test_a_client_gets_a_new_certificate_without_a_failed_call(
    serve: Serve, call: Call, issue: Issue, ca: Path
) -> None:
    """The server sees the old name up to some call, and the new one from then on."""
    server_cert, server_key = issue("127.0.0.1", file="server")
    cert, key = issue("old.test", file="client")
    address = serve(ServerSecurity(tls_cert=server_cert, tls_key=server_key, tls_client_ca=ca))
    security = ClientSecurity(ca=ca, cert=cert, key=key)
    with _calling(lambda: call(address, security)) as answers:
        _eventually(lambda: len(answers) > 20)
        issue("new.test", file="client")
        _eventually(lambda: answers[-1] == "called by new.test")
        before = len(answers)
        _eventually(lambda: len(answers) > before + 20)
    assert sorted(set(answers), key=answers.index) == ["called by old.test", "called by new.test"]
    assert answers == sorted(answers, reverse=True)


def test_a_certificate_without_its_key_changes_nothing(
    serve: Serve, call: Call, issue: Issue, ca: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With half of a pair or of a file the old pair stays in force, and one line is logged; the whole pair counts."""
    cert, key = issue("127.0.0.1", file="server")
    (tmp_path / "next").mkdir()
    new_cert, new_key = issue("127.0.0.1", file="server", folder=tmp_path / "next")
    address = serve(ServerSecurity(tls_cert=cert, tls_key=key))
    first = _shown(address)
    with caplog.at_level(logging.INFO, "shortlist.security.files"):
        for half in (new_cert.read_bytes(), new_cert.read_bytes()[:100]):
            caplog.clear()
            cert.write_bytes(half)
            for _ in range(10):
                time.sleep(0.02)
                assert _shown(address) == first
                assert call(address, ClientSecurity(ca=ca)) == "called by "
            assert [record.levelname for record in caplog.records] == ["ERROR"]
            assert str(cert) in caplog.text
        cert.write_bytes(new_cert.read_bytes())
        key.write_bytes(new_key.read_bytes())
        _eventually(lambda: _shown(address) == new_cert.read_text())
        assert caplog.records[-1].levelname == "INFO"
    assert "PRIVATE KEY" not in caplog.text


def test_half_a_pair_leaves_the_client_its_credentials(issue: Issue, ca: Path) -> None:
    """The credentials stay the same object, so no channel reopens; the whole pair gives another object."""
    cert, key = issue("client.test")
    security = ClientSecurity(ca=ca, cert=cert, key=key)
    former, old_key = channel_credentials(security), key.read_bytes()
    issue("client.test")
    new_key = key.read_bytes()
    key.write_bytes(old_key)
    for _ in range(5):
        time.sleep(0.02)
        assert channel_credentials(security) is former
    key.write_bytes(new_key)
    _eventually(lambda: channel_credentials(security) is not former)


def test_an_authority_is_replaced_by_trusting_both_for_a_while(
    serve: Serve, call: Call, issue: Issue, ca: Path, authority: trustme.CA
) -> None:
    """A server that trusts the old authority, then both, then the new one accepts the clients of just those."""
    other = trustme.CA()
    server_cert, server_key = issue("127.0.0.1", file="server")
    trusted = ca.with_name("clients.pem")
    authority.cert_pem.write_to_path(trusted)
    address = serve(ServerSecurity(tls_cert=server_cert, tls_key=server_key, tls_client_ca=trusted))
    clients = []
    for name, by in (("old.test", authority), ("new.test", other)):
        cert, key = issue(name, by=by)
        clients.append(ClientSecurity(ca=ca, cert=cert, key=key))
    old, new = clients

    assert (call(address, old), call(address, new)) == ("called by old.test", "UNAVAILABLE")
    other.cert_pem.write_to_path(trusted, append=True)
    _eventually(lambda: call(address, new) == "called by new.test")
    assert call(address, old) == "called by old.test"
    other.cert_pem.write_to_path(trusted)
    _eventually(lambda: call(address, old) == "UNAVAILABLE")
    assert call(address, new) == "called by new.test"


def test_a_secret_of_kubernetes_is_followed(serve: Serve, call: Call, issue: Issue, ca: Path, tmp_path: Path) -> None:
    """Kubernetes switches the link of a directory, in which the files are links too."""
    secret = tmp_path / "secret"
    for version in ("..1", "..2"):
        (secret / version).mkdir(parents=True)
        issue("127.0.0.1", file="tls", folder=secret / version)
    (secret / "..data").symlink_to("..1")
    for name in ("tls.crt", "tls.key"):
        (secret / name).symlink_to(Path("..data") / name)
    address = serve(ServerSecurity(tls_cert=secret / "tls.crt", tls_key=secret / "tls.key"))
    assert _shown(address) == (secret / "..1" / "tls.crt").read_text()
    (secret / "..data_tmp").symlink_to("..2")
    os.replace(secret / "..data_tmp", secret / "..data")
    _eventually(lambda: _shown(address) == (secret / "..2" / "tls.crt").read_text())
    assert call(address, ClientSecurity(ca=ca)) == "called by "
