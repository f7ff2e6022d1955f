"""Signed bundles: the model-signing library proves that a bundle comes from the holder of a key."""

import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

from shortlist.bundle.manifest_json import MAX_MANIFEST_BYTES
from shortlist.bundle.regular_files import read_at_most
from shortlist.errors import BundleError

SIGNATURE = "model.sig"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_KIND = "signature"


def sign(directory: Path, private_key: Path) -> None:
    """Signs every file of a bundle that is not published yet.

    ``private_key`` is a PEM file without a password, on the curve P-256, P-384 or P-521.

    Raises:
        BundleError: the key cannot be used, or the library is not installed.
    """
    library = _library(directory / SIGNATURE)
    config = _signer(library, private_key)
    config.set_hashing_config(_every_file(library)).sign(directory, directory / SIGNATURE)


def check_private_key(private_key: Path) -> None:
    """Raises BundleError when :func:`sign` could not use the key."""
    _signer(_library(private_key), private_key)


def verify_signature(directory: Path, public_key: Path) -> None:
    """Checks every file of a bundle against the bundle's signature, and the signature against a public key (PEM).

    The signature says who made the bundle, not that it is the latest: an older bundle of the same key passes.

    Raises:
        BundleError: the signature is missing, or of another key or other contents. Or a file is not signed, the key
            cannot be used, or the library is not installed.
    """
    path = directory / SIGNATURE
    library = _library(path)
    try:
        config = library.verifying.Config().use_elliptic_key_verifier(public_key=public_key)
    except Exception as error:
        raise _no_key(public_key, error, "public key") from error
    if not path.is_file():
        raise BundleError(path, "is missing, and --bundle-public-key accepts only signed bundles", _KIND)
    try:
        config.set_hashing_config(_every_file(library)).verify(directory, path)
    except Exception as error:
        # Anybody may have written the file, and the library raises all kinds of exceptions for malformed ones.
        raise BundleError(path, f"does not match the bundle and the key: {_described(error)}", _KIND) from error


def claimed_fingerprint(directory: Path) -> str | None:
    """The sha256 of the public key (PEM) that a bundle's signature names, in hexadecimal; None without a signature.

    It is a claim, since the signature is not verified. It is empty when the signature names no key or is malformed.
    """
    try:
        contents = json.loads(read_at_most(directory / SIGNATURE, MAX_MANIFEST_BYTES))
        claimed = contents["verificationMaterial"]["publicKey"]["hint"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""
    return claimed if isinstance(claimed, str) and _DIGEST.fullmatch(claimed) else ""


def _signer(library: ModuleType, private_key: Path) -> Any:  # noqa: ANN401 - the library's signing configuration
    try:
        return library.signing.Config().use_elliptic_key_signer(private_key=private_key)
    except Exception as error:
        raise _no_key(private_key, error, "private key") from error


def _library(path: Path) -> ModuleType:
    try:
        # Not at the top: it takes 56 MB, and most installations sign nothing.
        import model_signing
    except ImportError as error:
        raise BundleError(path, "needs the signing extra: pip install 'shortlist[signing]'", _KIND) from error
    return model_signing


def _every_file(library: ModuleType) -> Any:  # noqa: ANN401 - the library's hashing configuration
    # One thread, since a service answers calls meanwhile. By default the library skips files that look like git's.
    files = library.hashing.Config().use_file_serialization(max_workers=1)
    return files.set_ignored_paths(paths=[SIGNATURE], ignore_git_paths=False)


def _no_key(path: Path, error: Exception, kind: str) -> BundleError:
    if isinstance(error, OSError):
        return BundleError(path, f"cannot be read: {error.strerror}", _KIND)
    # The library raises more than ValueError: an RSA key ends in an AttributeError.
    return BundleError(path, f"is not a {kind} on the curve P-256, P-384 or P-521: {_described(error)}", _KIND)


def _described(error: Exception) -> str:
    return f"{type(error).__name__} {error}".strip()
