"""The public keys that bundles are signed with."""

import argparse
from pathlib import Path

from shortlist.flags import add_setting

_CURVES = ("secp256r1", "secp384r1", "secp521r1")
_KIND = "a public key on the curve P-256, P-384 or P-521"


def add_bundle_public_key(parser: argparse.ArgumentParser, use: str) -> None:
    """Adds the flag of a public key (PEM) for a ``use``; its value is a path, or None.

    A file that cannot be read or is no such key ends the process with exit code 2.
    """
    add_setting(parser, "--bundle-public-key", default="", type=_read_public_key, help=f"PEM file; {use}")


def _read_public_key(text: str) -> Path | None:
    if not text:
        return None
    path = Path(text)
    # Not at the top: it takes 4 MB.
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except Exception as error:
        # The library raises more than ValueError.
        raise ValueError(f"{path} is not {_KIND}: {error}") from error
    if not (isinstance(key, EllipticCurvePublicKey) and key.curve.name in _CURVES):
        raise ValueError(f"{path} is not {_KIND}")
    return path
