"""The public keys of signed bundles, and their fingerprints."""

import argparse
import hashlib
import json
from pathlib import Path

from shortlist.bundle.manifest_json import MAX_MANIFEST_BYTES
from shortlist.bundle.regular_files import read_at_most
from shortlist.flags import add_setting

SIGNATURE = "model.sig"
_CURVES = ("secp256r1", "secp384r1", "secp521r1")
_KINDS = "on the curve P-256, P-384 or P-521"


def add_bundle_public_key(parser: argparse.ArgumentParser, use: str) -> None:
    """Adds the flag of a public key (PEM) for a ``use``; its value is a path, or None.

    A file that cannot be read or is no such key ends the process with exit code 2.
    """
    add_setting(parser, "--bundle-public-key", default="", type=_read_public_key, help=f"PEM file; {use}")


def fingerprint_of_key(public_key: Path) -> str:
    """The sha256 of a public key's PEM text, in hexadecimal.

    Raises:
        ValueError: the file cannot be read, or is no public key on one of the curves; names it.
    """
    # Not at the top: it takes 4 MB.
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

    try:
        key = load_pem_public_key(public_key.read_bytes())
    except OSError as error:
        raise ValueError(f"{public_key} cannot be read: {error.strerror}") from error
    except Exception as error:
        raise ValueError(f"{public_key} is not a public key {_KINDS}: {error}") from error
    if not (isinstance(key, EllipticCurvePublicKey) and key.curve.name in _CURVES):
        raise ValueError(f"{public_key} is not a public key {_KINDS}")
    return hashlib.sha256(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _read_public_key(text: str) -> Path | None:
    if not text:
        return None
    fingerprint_of_key(Path(text))
    return Path(text)


def claimed_fingerprint(directory: Path) -> str | None:
    """The fingerprint of the key that a bundle's signature names; None without a signature.

    It is a claim, since the signature is not verified. It is empty when the signature names no key or is malformed.
    """
    try:
        contents = json.loads(read_at_most(directory / SIGNATURE, MAX_MANIFEST_BYTES))
        claimed = contents["verificationMaterial"]["publicKey"]["hint"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""
    is_digest = isinstance(claimed, str) and len(claimed) == hashlib.sha256().digest_size * 2 and claimed.isalnum()
    return claimed if is_digest else ""
