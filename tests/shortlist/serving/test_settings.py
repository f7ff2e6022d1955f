"""Flags, their environment variables, and the server's settings."""

import argparse
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from shortlist.serving.settings import (
    BundleSettings,
    ServerSettings,
    add_bundle_settings,
    add_server_settings,
    read_bundle_settings,
    read_server_settings,
)
from tests.support.keys import write_keys


def parse(*argv: str) -> ServerSettings:
    parser = argparse.ArgumentParser()
    add_server_settings(parser, listen="127.0.0.1:50051")
    return read_server_settings(parser, parser.parse_args(argv))


def parse_bundles(*argv: str) -> BundleSettings:
    parser = argparse.ArgumentParser()
    add_bundle_settings(parser)
    return read_bundle_settings(parser.parse_args(argv))


def test_a_flag_wins_over_its_variable_and_the_variable_over_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable of --drain-seconds is SHORTLIST_DRAIN_SECONDS."""
    monkeypatch.setenv("SHORTLIST_THREADS", "3")
    monkeypatch.setenv("SHORTLIST_DRAIN_SECONDS", "1.5")
    assert parse("--threads", "4") == ServerSettings(listen="127.0.0.1:50051", threads=4, drain_seconds=1.5)


def test_one_worker_is_the_default_and_the_variable_sets_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """A supervisor runs only on request, by flag or by variable."""
    assert parse().workers == 1
    monkeypatch.setenv("SHORTLIST_WORKERS", "3")
    assert parse().workers == 3
    assert parse("--workers", "1").workers == 1


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that a template left empty does not replace the default."""
    monkeypatch.setenv("SHORTLIST_LISTEN", "")
    assert parse().listen == "127.0.0.1:50051"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SHORTLIST_THREADS", "many"),
        ("SHORTLIST_THREADS", "0"),
        ("SHORTLIST_THREADS", "1025"),
        ("SHORTLIST_WORKERS", "0"),
        ("SHORTLIST_WORKERS", "257"),
        ("SHORTLIST_WORKERS", "two"),
        ("SHORTLIST_QUEUE", "-1"),
        ("SHORTLIST_QUEUE", "4097"),
        ("SHORTLIST_PROFILE", "prod"),
        ("SHORTLIST_HEALTH_LISTEN", "50060"),
        ("SHORTLIST_DRAIN_DELAY_SECONDS", "inf"),
        ("SHORTLIST_DRAIN_SECONDS", "-1"),
        ("SHORTLIST_DRAIN_SECONDS", "nan"),
        ("SHORTLIST_LISTEN", "127.0.0.1"),
        ("SHORTLIST_LISTEN", "127.0.0.1:65536"),
    ],
)
def test_a_bad_variable_is_a_usage_error_that_names_it(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A malformed value or one out of range ends with exit code 2 and the variable's name."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit) as exit_info:
        parse()
    assert exit_info.value.code == 2
    complaint = capsys.readouterr().err
    assert variable in complaint
    assert value in complaint


def test_a_bad_flag_is_not_blamed_on_its_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message names the variable only when the value came from it."""
    monkeypatch.setenv("SHORTLIST_THREADS", "3")
    with pytest.raises(SystemExit):
        parse("--threads", "many")
    complaint = capsys.readouterr().err.splitlines()[-1]
    assert "--threads" in complaint
    assert "SHORTLIST_THREADS" not in complaint


def test_the_help_shows_default_and_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A reader of --help sees both, even while the environment is wrong."""
    monkeypatch.setenv("SHORTLIST_THREADS", "many")
    with pytest.raises(SystemExit) as exit_info:
        parse("--help")
    assert exit_info.value.code == 0
    assert "(default 32; environment SHORTLIST_THREADS)" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("contents", [None, "no key", "private", "rsa"])
def test_a_public_key_that_is_none_is_a_usage_error(
    contents: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No bundle could be served, so flag and file are named at once: a missing file, no key, or another kind of key."""
    path = tmp_path / "public.pem"
    if contents == "private":
        write_keys(tmp_path, "ours")[0].rename(path)
    elif contents == "rsa":
        write_keys(tmp_path, "ours", rsa.generate_private_key(public_exponent=65537, key_size=2048))[1].rename(path)
    elif contents is not None:
        path.write_text(contents)
    with pytest.raises(SystemExit) as exit_info:
        parse_bundles("--bundle-public-key", str(path))
    assert exit_info.value.code == 2
    complaint = capsys.readouterr().err.splitlines()[-1]
    assert "argument --bundle-public-key" in complaint
    assert str(path) in complaint
    monkeypatch.setenv("SHORTLIST_BUNDLE_PUBLIC_KEY", str(path))
    with pytest.raises(SystemExit):
        parse_bundles()
    assert "SHORTLIST_BUNDLE_PUBLIC_KEY" in capsys.readouterr().err


def test_a_public_key_becomes_its_path(tmp_path: Path) -> None:
    """Without one, bundles need no signature."""
    _, public = write_keys(tmp_path, "ours")
    assert parse_bundles("--bundle-public-key", str(public)).public_key == public
    assert parse_bundles() == BundleSettings(directory=Path("bundles"))
