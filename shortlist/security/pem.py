"""Certificates and keys in PEM files."""

import ssl
from pathlib import Path


def read_identity(cert: Path, key: Path) -> tuple[bytes, bytes]:
    """Reads a certificate with its chain, and its key.

    Raises:
        ValueError: one of them cannot be read, or they do not belong together.
    """
    try:
        # The only function of the standard library that compares a key with a certificate; it reads the files itself.
        # Without a password callback it would ask the terminal for the password of an encrypted key.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password=lambda: "")
        return cert.read_bytes(), key.read_bytes()
    except OSError as error:
        raise ValueError(f"{cert} and {key} are not a certificate and its key: {error}") from error


def read_authorities(path: Path) -> bytes:
    """Reads the certificates of one or more authorities.

    Raises:
        ValueError: the file cannot be read, or has no certificate.
    """
    try:
        contents = path.read_bytes()
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=contents.decode("ascii", "ignore"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} has no certificate of an authority: {error}") from error
    return contents
