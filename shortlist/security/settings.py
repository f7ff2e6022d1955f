"""Flags for TLS, bearer tokens and the allow list."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from shortlist.flags import add_setting
from shortlist.security.pem import read_authorities, read_identity
from shortlist.security.rules import read_rules
from shortlist.security.tokens import read_tokens


@dataclass(frozen=True, kw_only=True)
class ServerSecurity:
    """A server's demands on its callers; by default none, in plaintext.

    ``tls_cert`` (with its chain) and ``tls_key`` are PEM files. With ``tls_client_ca`` callers must show a certificate
    of that authority. With ``allow``, a TOML file, they may call only the methods listed for a name in their
    certificate. With ``token_file`` they must send one of its lines as bearer token; this needs TLS, for plaintext
    would make the token public.

    Raises:
        ValueError: a setting lacks another one that it needs.
    """

    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    allow: Path | None = None
    token_file: Path | None = None

    def __post_init__(self) -> None:
        _require_other("--tls-cert", self.tls_cert, "--tls-key", self.tls_key)
        _require_other("--tls-key", self.tls_key, "--tls-cert", self.tls_cert)
        _require_other("--tls-client-ca", self.tls_client_ca, "--tls-cert", self.tls_cert)
        _require_other("--allow", self.allow, "--tls-client-ca", self.tls_client_ca)
        _require_other("--token-file", self.token_file, "--tls-cert", self.tls_cert)

    def require_files(self) -> None:
        """Reads every file once.

        Raises:
            ValueError: a file cannot be used; names it.
        """
        if self.tls_cert is not None and self.tls_key is not None:
            read_identity(self.tls_cert, self.tls_key)
        _read(read_authorities, self.tls_client_ca)
        _read(read_rules, self.allow)
        _read(read_tokens, self.token_file)


@dataclass(frozen=True, kw_only=True)
class ClientSecurity:
    """A client's TLS and token files; plaintext by default.

    ``ca`` is a PEM file with the authorities that may sign the server's certificate. ``cert`` (with its chain) and
    ``key`` identify the client. ``token_file`` holds the bearer token to send, which needs TLS.

    Raises:
        ValueError: a setting lacks another one that it needs.
    """

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    token_file: Path | None = None

    def __post_init__(self) -> None:
        _require_other("cert", self.cert, "key", self.key)
        _require_other("key", self.key, "cert", self.cert)
        _require_other("cert", self.cert, "ca", self.ca)
        _require_other("token-file", self.token_file, "ca", self.ca)

    def require_files(self) -> None:
        """Reads every file once.

        Raises:
            ValueError: a file cannot be used; names it.
        """
        _read(read_authorities, self.ca)
        if self.cert is not None and self.key is not None:
            read_identity(self.cert, self.key)
        _read(read_tokens, self.token_file)


def add_server_security(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of :class:`ServerSecurity`."""
    add_setting(
        parser, "--tls-cert", default="", help="PEM file with the certificate and its chain; plaintext if empty"
    )
    add_setting(parser, "--tls-key", default="", help="PEM file with the certificate's key")
    add_setting(
        parser, "--tls-client-ca", default="", help="PEM file with the authorities that sign callers' certificates"
    )
    add_setting(
        parser, "--allow", default="", help="TOML file that maps names in callers' certificates to allowed methods"
    )
    add_setting(parser, "--token-file", default="", help="file of accepted bearer tokens, one a line")


def read_server_security(parser: argparse.ArgumentParser, options: argparse.Namespace) -> ServerSecurity:
    """The validated settings; an unusable combination or file ends the process with exit code 2."""
    try:
        security = ServerSecurity(
            tls_cert=_path(options.tls_cert),
            tls_key=_path(options.tls_key),
            tls_client_ca=_path(options.tls_client_ca),
            allow=_path(options.allow),
            token_file=_path(options.token_file),
        )
        security.require_files()
    except ValueError as error:
        parser.error(str(error))
    return security


def add_client_security(parser: argparse.ArgumentParser, prefix: str) -> None:
    """Adds the flags of :class:`ClientSecurity`, such as ``--retrieval-ca``; ``prefix`` names the called service."""
    to = f"for the connection to the {prefix} service"
    add_setting(parser, f"--{prefix}-ca", default="", help=f"PEM file of trusted authorities {to}; plaintext if empty")
    add_setting(parser, f"--{prefix}-cert", default="", help=f"PEM file of our certificate and its chain {to}")
    add_setting(parser, f"--{prefix}-key", default="", help=f"PEM file of our key {to}")
    add_setting(
        parser, f"--{prefix}-token-file", default="", help=f"file with the bearer token {to}, on its first line"
    )


def read_client_security(parser: argparse.ArgumentParser, options: argparse.Namespace, prefix: str) -> ClientSecurity:
    """The validated settings; an unusable combination or file ends the process with exit code 2."""
    given = vars(options)
    try:
        security = ClientSecurity(
            ca=_path(given[f"{prefix}_ca"]),
            cert=_path(given[f"{prefix}_cert"]),
            key=_path(given[f"{prefix}_key"]),
            token_file=_path(given[f"{prefix}_token_file"]),
        )
        security.require_files()
    except ValueError as error:
        parser.error(f"--{prefix}-*: {error}")
    return security


def _path(text: str) -> Path | None:
    return Path(text) if text else None


def _require_other(name: str, path: Path | None, other_name: str, other: Path | None) -> None:
    if path is not None and other is None:
        raise ValueError(f"{name} needs {other_name}")


def _read(read: Callable[[Path], object], path: Path | None) -> None:
    if path is not None:
        read(path)
