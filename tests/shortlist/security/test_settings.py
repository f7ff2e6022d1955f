"""The flags of security and their valid combinations."""

import argparse
from collections.abc import Callable
from pathlib import Path

import pytest

from shortlist.security.rules import read_rules
from shortlist.security.settings import (
    ClientSecurity,
    ServerSecurity,
    add_client_security,
    add_server_security,
    read_client_security,
    read_server_security,
)

Issue = Callable[..., tuple[Path, Path]]
CERT, KEY, CA, ALLOW, TOKEN = (Path(name) for name in ("cert", "key", "ca", "allow", "token"))


def _server(*argv: str) -> ServerSecurity:
    parser = argparse.ArgumentParser()
    add_server_security(parser)
    return read_server_security(parser, parser.parse_args(argv))


def _client(*argv: str) -> ClientSecurity:
    parser = argparse.ArgumentParser()
    add_client_security(parser, "retrieval")
    return read_client_security(parser, parser.parse_args(argv), "retrieval")


def test_the_default_is_plaintext_without_checks() -> None:
    """It holds for both ends."""
    assert _server() == ServerSecurity()
    assert _client() == ClientSecurity()


def test_flags_and_environment_variables_become_settings(
    issue: Issue, ca: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some values come from flags, some from the environment."""
    cert, key = issue("a.test")
    token, allow = tmp_path / "token", tmp_path / "allow.toml"
    token.write_text("token")
    allow.write_text('"a.test" = ["shortlist.ranking.v1.RankingService/*"]')
    monkeypatch.setenv("SHORTLIST_TLS_CLIENT_CA", str(ca))
    monkeypatch.setenv("SHORTLIST_TOKEN_FILE", str(token))
    server = _server("--tls-cert", str(cert), "--tls-key", str(key), "--allow", str(allow))
    assert server == ServerSecurity(tls_cert=cert, tls_key=key, tls_client_ca=ca, allow=allow, token_file=token)
    monkeypatch.setenv("SHORTLIST_RETRIEVAL_TOKEN_FILE", str(token))
    client = _client("--retrieval-ca", str(ca), "--retrieval-cert", str(cert), "--retrieval-key", str(key))
    assert client == ClientSecurity(ca=ca, cert=cert, key=key, token_file=token)


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"tls_cert": CERT}, "--tls-key"),
        ({"tls_key": KEY}, "--tls-cert"),
        ({"tls_client_ca": CA}, "--tls-cert"),
        ({"tls_cert": CERT, "tls_key": KEY, "allow": ALLOW}, "--tls-client-ca"),
        ({"token_file": TOKEN}, "--tls-cert"),
    ],
)
def test_a_server_s_flag_that_needs_another_says_so(given: dict[str, Path], missing: str) -> None:
    """An allow list without certificates would admit nobody, and plaintext would make a token public."""
    with pytest.raises(ValueError, match=f"needs {missing}"):
        ServerSecurity(**given)


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"cert": CERT, "ca": CA}, "key"),
        ({"key": KEY, "ca": CA}, "cert"),
        ({"cert": CERT, "key": KEY}, "ca"),
        ({"token_file": TOKEN}, "ca"),
    ],
)
def test_a_client_s_setting_that_needs_another_says_so(given: dict[str, Path], missing: str) -> None:
    """No token is sent in plaintext."""
    with pytest.raises(ValueError, match=f"needs {missing}"):
        ClientSecurity(**given)


def test_an_unusable_combination_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """The exit code is 2, as for any wrong flag, and the message names the flags."""
    with pytest.raises(SystemExit) as exit_info:
        _client("--retrieval-token-file", "token")
    assert exit_info.value.code == 2
    assert "--retrieval-*: token-file needs ca" in capsys.readouterr().err


@pytest.mark.parametrize("broken", ["tls-cert", "tls-key", "tls-client-ca", "allow", "token-file"])
@pytest.mark.parametrize("contents", [None, b"\n\0\xff"])
def test_an_unusable_file_is_a_usage_error_that_names_it(
    issue: Issue, ca: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], broken: str, contents: bytes | None
) -> None:
    """A missing or malformed file is found before the server and its workers start."""
    cert, key = issue("a.test")
    token, allow = tmp_path / "token", tmp_path / "allow.toml"
    token.write_text("token")
    allow.write_text("")
    paths = {"tls-cert": cert, "tls-key": key, "tls-client-ca": ca, "allow": allow, "token-file": token}
    paths[broken] = tmp_path / "broken"
    if contents is not None:
        paths[broken].write_bytes(contents)
    with pytest.raises(SystemExit) as exit_info:
        _server(*(argument for name, path in paths.items() for argument in (f"--{name}", str(path))))
    assert exit_info.value.code == 2
    assert str(tmp_path / "broken") in capsys.readouterr().err


@pytest.mark.parametrize(
    "rules",
    [
        "a.test = []",
        '"a.test" = "shortlist.ranking.v1.RankingService/Recommend"',
        '"a.test" = ["/shortlist.ranking.v1.RankingService/Recommend"]',
        '"a.test" = ["*"]',
        '"a.test" = ["shortlist.ranking.v1.RankingService"]',
        '"a.test" = [1]',
        '"a.test" = ["shortlist.ranking.v1.RankingService/Recomend"]',
        '"a.test" = ["shortlist.ranking.v1.RankingServices/*"]',
        '"a.test" = ["shortlist.ranking.v1.RankingService/recommend"]',
        '"a.test" = ["grpc.health.v1.Health/Check"]',
        '"someone@a.test" = ["shortlist.ranking.v1.RankingService/Recommend"]',
        '"a.test\\u0000.b.test" = ["shortlist.ranking.v1.RankingService/Recommend"]',
    ],
)
def test_a_rule_that_would_allow_nothing_is_refused(
    issue: Issue, ca: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], rules: str
) -> None:
    """An unquoted name or a misspelt method is an error at the start, not a surprise in production."""
    cert, key = issue("b.test")
    (tmp_path / "allow.toml").write_text(rules)
    with pytest.raises(SystemExit):
        _server(
            *("--tls-cert", str(cert), "--tls-key", str(key), "--tls-client-ca", str(ca)),
            *("--allow", str(tmp_path / "allow.toml")),
        )
    assert "allow.toml: " in capsys.readouterr().err


def test_a_misspelt_method_is_named_beside_the_known_ones(tmp_path: Path) -> None:
    """The reader finds the entry and its right spelling; a list may be shared by all services."""
    (allow := tmp_path / "allow.toml").write_text('"a.test" = ["shortlist.ranking.v1.RankingService/Recomend"]')
    with pytest.raises(ValueError, match=r"'a\.test' has 'shortlist\.ranking\.v1\.RankingService/Recomend'") as caught:
        read_rules(allow)
    known = [
        "shortlist.ranking.v1.RankingService/Recommend",
        "shortlist.retrieval.v1.RetrievalService/*",
        "shortlist.live.v1.EventService/ListEvents",
    ]
    assert all(method in str(caught.value) for method in known)
    allow.write_text(f'"a.test" = {known}')
    assert read_rules(allow) == {"a.test": frozenset(known)}
