"""Signed bundles: proof that one comes from the holder of a key, made and checked by the model-signing library."""

from pathlib import Path
from types import ModuleType
from typing import Any

from shortlist.errors import BundleError

SIGNATURE = "model.sig"
_KIND = "signature"


def sign(directory: Path, private_key: Path) -> None:
    """Signs every file of a bundle that is not published yet, by a private key on a NIST curve (PEM, no password).

    Raises:
        BundleError: the key is of no use, or the library is not installed.
    """
    path = directory / SIGNATURE
    library = _library(path)
    try:
        config = library.signing.Config().use_elliptic_key_signer(private_key=private_key)
    except Exception as error:
        raise _no_key(private_key, error) from error
    config.set_hashing_config(_every_file(library)).sign(directory, path)


def verify_signature(directory: Path, public_key: Path) -> None:
    """Compares every file of a bundle with the signature in it, and that with the public key (PEM).

    An older bundle that was signed with the same key passes: the signature says whose it is, not that it is the latest.

    Raises:
        BundleError: the signature is missing, of another key, or of other contents; or there are files that it does not
            know; or the key is of no use; or the library is not installed.
    """
    path = directory / SIGNATURE
    library = _library(path)
    try:
        config = library.verifying.Config().use_elliptic_key_verifier(public_key=public_key)
    except Exception as error:
        raise _no_key(public_key, error) from error
    if not path.is_file():
        raise BundleError(path, "is missing, and only signed bundles are taken", _KIND)
    try:
        config.set_hashing_config(_every_file(library)).verify(directory, path)
    except Exception as error:
        # Anybody can have written the file, and the library raises whatever it stumbles upon in it.
        raise BundleError(path, f"does not hold for the bundle and the key: {_told(error)}", _KIND) from error


def _library(path: Path) -> ModuleType:
    try:
        # Not at the top: most have no use for it, and it takes 56 MB.
        import model_signing
    except ImportError as error:
        raise BundleError(path, "needs the signing extra: pip install 'shortlist[signing]'", _KIND) from error
    return model_signing


def _every_file(library: ModuleType) -> Any:  # noqa: ANN401 - the library's hashing configuration
    # One thread, for a service goes on answering meanwhile. By itself the library leaves out what looks like git's.
    files = library.hashing.Config().use_file_serialization(max_workers=1)
    return files.set_ignored_paths(paths=[SIGNATURE], ignore_git_paths=False)


def _no_key(path: Path, error: Exception) -> BundleError:
    # Not only ValueError: an RSA key ends in an AttributeError.
    return BundleError(path, f"is not a key on the curve P-256, P-384 or P-521: {_told(error)}", _KIND)


def _told(error: Exception) -> str:
    return f"{type(error).__name__} {error}".strip()
