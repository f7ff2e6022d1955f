"""Certificates and keys in PEM files."""

import ssl
from pathlib import Path


def read_identity(cert: Path, key: Path) -> tuple[bytes, bytes]:
    """A certificate with its chain, and its key.

    Raises:
        ValueError: one of them cannot be read, or they do not belong together.
    """
    try:
        # Nothing else in the standard library compares a key with a certificate, and it wants to read the files itself.
        # Without a password it would ask the terminal for that of an encrypted key.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password=lambda: "")
        return cert.read_bytes(), key.read_bytes()
    except OSError as error:
        raise ValueError(f"{cert} and {key} are not a certificate and its key: {error}") from error


def read_authorities(path: Path) -> bytes:
    """The certificates of one or more authorities.

    Raises:
        ValueError: the file cannot be read, or has none.
    """
    try:
        contents = path.read_bytes()
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=contents.decode("ascii", "ignore"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} has no certificate of an authority: {error}") from error
    return contents
