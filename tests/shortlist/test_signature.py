"""Signed bundles, with the real library and real keys."""

import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from shortlist.bundle.signature import SIGNATURE, sign, verify_signature
from shortlist.errors import BundleError
from tests.support.keys import write_keys


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    """A private key and its public half."""
    return write_keys(tmp_path, "ours")


@pytest.fixture
def bundle(tmp_path: Path, keys: tuple[Path, Path]) -> Path:
    """A directory that was signed and then renamed, like a published bundle."""
    staging = tmp_path / ".staging-1-20260101T000000-0001"
    staging.mkdir()
    (staging / "manifest.json").write_text('{"files": {}}')
    (staging / "index.faiss").write_bytes(bytes(range(256)) * 512)
    sign(staging, keys[0])
    return staging.rename(tmp_path / "20260101T000000-0001")


def test_an_unchanged_bundle_passes(bundle: Path, keys: tuple[Path, Path]) -> None:
    """It passes under another name too, since it is signed before its directory is renamed."""
    verify_signature(bundle, keys[1])


@pytest.mark.parametrize("name", ["manifest.json", "index.faiss"])
def test_a_changed_file_is_refused(bundle: Path, keys: tuple[Path, Path], name: str) -> None:
    """One flipped bit is enough, in the manifest or in a listed file."""
    contents = bytearray((bundle / name).read_bytes())
    contents[-1] ^= 1
    (bundle / name).write_bytes(contents)
    with pytest.raises(BundleError, match="does not match") as caught:
        verify_signature(bundle, keys[1])
    assert caught.value.kind == "signature"
    assert name in str(caught.value)


@pytest.mark.parametrize("name", ["extra.npy", ".gitignore"])
def test_an_unsigned_file_is_refused(bundle: Path, keys: tuple[Path, Path], name: str) -> None:
    """Nothing can be added, not even under a name that the library ignores by default."""
    (bundle / name).write_text("something")
    with pytest.raises(BundleError, match="does not match"):
        verify_signature(bundle, keys[1])


def test_a_missing_file_is_refused(bundle: Path, keys: tuple[Path, Path]) -> None:
    """Every signed file must be there."""
    (bundle / "index.faiss").unlink()
    with pytest.raises(BundleError, match="does not match"):
        verify_signature(bundle, keys[1])


def test_a_bundle_without_a_signature_is_refused(bundle: Path, keys: tuple[Path, Path]) -> None:
    """Removing the signature does not help."""
    (bundle / SIGNATURE).unlink()
    with pytest.raises(BundleError, match="--bundle-public-key accepts only signed bundles"):
        verify_signature(bundle, keys[1])


def test_a_signature_of_another_key_is_refused(bundle: Path, tmp_path: Path) -> None:
    """The bundle is intact and correctly signed, by somebody else."""
    _, theirs = write_keys(tmp_path, "theirs")
    with pytest.raises(BundleError, match="does not match"):
        verify_signature(bundle, theirs)


@pytest.mark.parametrize("contents", ["", "{}", "[]", "\0", '{"verificationMaterial": {}}'])
def test_a_malformed_signature_is_refused(bundle: Path, keys: tuple[Path, Path], contents: str) -> None:
    """Every exception of the library becomes a BundleError."""
    (bundle / SIGNATURE).write_text(contents)
    with pytest.raises(BundleError, match="does not match"):
        verify_signature(bundle, keys[1])


def test_the_signature_of_another_bundle_is_refused(bundle: Path, tmp_path: Path, keys: tuple[Path, Path]) -> None:
    """The key is the same, the files differ."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "manifest.json").write_text("{}")
    sign(other, keys[0])
    (other / SIGNATURE).replace(bundle / SIGNATURE)
    with pytest.raises(BundleError, match="does not match"):
        verify_signature(bundle, keys[1])


def test_an_unusable_key_is_blamed_and_not_the_bundle(bundle: Path, tmp_path: Path) -> None:
    """For a missing file, a file without a key and a key of another kind, the error names the key's file."""
    private, public = write_keys(tmp_path, "rsa", rsa.generate_private_key(public_exponent=65537, key_size=2048))
    (tmp_path / "text").write_text("no key")
    reasons = {
        public: "is not a public key",
        tmp_path / "text": "is not a public key",
        tmp_path / "missing": "cannot be",
    }
    for path, reason in reasons.items():
        with pytest.raises(BundleError, match=reason) as caught:
            verify_signature(bundle, path)
        assert caught.value.path == path
    with pytest.raises(BundleError, match="is not a private key"):
        sign(bundle, private)


def test_the_librarys_own_command_agrees(bundle: Path, keys: tuple[Path, Path]) -> None:
    """Anybody with the bundle and the public key can verify it without this project."""
    command = [sys.executable, "-m", "model_signing", "verify", "key", str(bundle)]
    options = ["--signature", str(bundle / SIGNATURE), "--public_key", str(keys[1])]
    done = subprocess.run([*command, *options], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_without_the_library_the_error_names_the_extra(
    bundle: Path, keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that requires signed bundles accepts none, and names the missing extra."""
    monkeypatch.setitem(sys.modules, "model_signing", None)
    with pytest.raises(BundleError, match=r"shortlist\[signing\]"):
        verify_signature(bundle, keys[1])
    with pytest.raises(BundleError, match=r"shortlist\[signing\]"):
        sign(bundle, keys[0])
