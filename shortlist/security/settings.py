"""Who a service trusts and what it shows of itself, as flags."""

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
    """What a server asks of its callers; nothing, in plaintext, as long as nothing is given.

    ``tls_cert`` (with its chain) and ``tls_key`` are PEM files. With ``tls_client_ca`` callers have to show a
    certificate of that authority, and with ``allow``, a TOML file, may call only what it lists for a name in theirs.
    With ``token_file`` they have to send one of its lines as bearer token, which needs TLS: in plaintext it is public.

    Raises:
        ValueError: one of them needs another.
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
            ValueError: says which is of no use.
        """
        if self.tls_cert is not None and self.tls_key is not None:
            read_identity(self.tls_cert, self.tls_key)
        _read(read_authorities, self.tls_client_ca)
        _read(read_rules, self.allow)
        _read(read_tokens, self.token_file)


@dataclass(frozen=True, kw_only=True)
class ClientSecurity:
    """What a client trusts and shows; plaintext as long as nothing is given.

    ``ca`` is a PEM file with the authorities that the server's certificate may be from, ``cert`` (with its chain) and
    ``key`` are what the client shows of itself, ``token_file`` has the bearer token that it sends,
    which needs TLS as a server's does.

    Raises:
        ValueError: one of them needs another.
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
            ValueError: says which is of no use.
        """
        _read(read_authorities, self.ca)
        if self.cert is not None and self.key is not None:
            read_identity(self.cert, self.key)
        _read(read_tokens, self.token_file)


def add_server_security(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of :class:`ServerSecurity`."""
    add_setting(parser, "--tls-cert", default="", help="PEM file of the certificate and its chain; plaintext without")
    add_setting(parser, "--tls-key", default="", help="PEM file of the certificate's key")
    add_setting(
        parser, "--tls-client-ca", default="", help="PEM file of the authorities that callers need a certificate of"
    )
    add_setting(
        parser, "--allow", default="", help="TOML file: for names in callers' certificates, the methods they may call"
    )
    add_setting(parser, "--token-file", default="", help="bearer tokens, one on each line, that callers need one of")


def read_server_security(parser: argparse.ArgumentParser, options: argparse.Namespace) -> ServerSecurity:
    """The validated settings; a combination or a file of no use ends the process with exit code 2."""
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
    """Adds the flags of :class:`ClientSecurity`, such as ``--retrieval-ca``; the prefix is the service called."""
    of = f"of the connection to the {prefix} service"
    add_setting(parser, f"--{prefix}-ca", default="", help=f"PEM file of the authorities {of}; plaintext without")
    add_setting(parser, f"--{prefix}-cert", default="", help=f"PEM file of our certificate {of}, and its chain")
    add_setting(parser, f"--{prefix}-key", default="", help=f"PEM file of our key {of}")
    add_setting(parser, f"--{prefix}-token-file", default="", help=f"bearer token {of}, on the first line")


def read_client_security(parser: argparse.ArgumentParser, options: argparse.Namespace, prefix: str) -> ClientSecurity:
    """The validated settings; a combination or a file of no use ends the process with exit code 2."""
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
        raise ValueError(f"{name} needs {other_name} beside it")


def _read(read: Callable[[Path], object], path: Path | None) -> None:
    if path is not None:
        read(path)
