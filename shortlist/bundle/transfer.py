"""Copies a bundle from one place to another: whole and verified, or not at all."""

import contextlib
import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from shortlist.bundle.bundle_id import is_bundle_id
from shortlist.bundle.locations import (
    Folder,
    Location,
    NotThere,
    Remote,
    TransferError,
    digest_of,
    location,
    read_small,
)
from shortlist.bundle.manifest import MANIFEST, FileDigest, Manifest
from shortlist.bundle.manifest_json import MAX_MANIFEST_BYTES
from shortlist.bundle.operations import Check, verify
from shortlist.bundle.signature import SIGNATURE
from shortlist.bundle.store import CURRENT, BundleStore
from shortlist.errors import BundleError

_MAX_POINTER_BYTES = 2**12


class Progress(Protocol):
    """Follows a copy."""

    def begin(self, what: str, size: int) -> None:
        """A copy of ``size`` bytes begins."""

    def advance(self, size: int) -> None:
        """``size`` more bytes are copied."""


@dataclass(frozen=True, kw_only=True)
class Transferred:
    """A bundle of the source, now at the destination.

    ``copied`` is in bytes, 0 when the bundle was there already. ``current`` is False when another bundle is pinned
    there.
    """

    bundle_id: str
    copied: int
    current: bool


class Damaged(TransferError):  # noqa: N818 - the field's own word
    """A file of the source is not the one of its bundle's manifest."""


class NothingPublished(NotThere):
    """The source has no current bundle."""


def push(store: BundleStore, destination: str, progress: Progress) -> Transferred:
    """Copies the current bundle to another place and makes it current there. Files that are there are only verified.

    The manifest follows the files and the pointer comes last. Every file is read back before the next one is sent.

    Raises:
        BundleError: there is no current bundle, or it is damaged.
        TransferError: the destination cannot be read or written, or returns other bytes than were sent.
    """
    place = location(destination)
    if isinstance(place, Folder):
        there = BundleStore(place.path)
        with writing(there):
            return take(other(Folder(store.root), there), store.current_id(), there, progress)
    bundle_id = store.current_id()
    verify(store, bundle_id)
    copied = _upload_bundle(store.root / bundle_id, place, progress)
    place.write(CURRENT, f"{bundle_id}\n".encode())
    return Transferred(bundle_id=bundle_id, copied=copied, current=True)


def other(source: Location, store: BundleStore) -> Location:
    """The source, which may not be the directory itself.

    Raises:
        TransferError: it is.
    """
    if isinstance(source, Folder) and source.path.resolve() == store.root.resolve():
        raise TransferError(f"{source} cannot be copied to itself")
    return source


def take(
    source: Location, bundle_id: str, store: BundleStore, progress: Progress, check: Check | None = None
) -> Transferred:
    """Copies a bundle unless it is here, proves it by the ``check``, and makes it current.

    Raises:
        TransferError: the source cannot be read, is incomplete or damaged.
        BundleError: the check refused the bundle; nothing is left of the copy.
    """
    with store.only_writer(bundle_id):
        if not _is_whole(store, bundle_id):
            copied = _copy_bundle(source, bundle_id, store, progress, check)
        else:
            copied = 0
            if check is not None and not store.is_proven(bundle_id):
                check(store.root / bundle_id)
        # A puller that waited finds it proven.
        current = store.adopt(bundle_id, proven=check is not None)
    return Transferred(bundle_id=bundle_id, copied=copied, current=current)


def _is_whole(store: BundleStore, bundle_id: str) -> bool:
    with contextlib.suppress(BundleError):
        verify(store, bundle_id)
        return True
    return False


def current_of(source: Location) -> str:
    """The id in the source's pointer.

    Raises:
        NothingPublished: there is no pointer.
        TransferError: it cannot be read, or holds no bundle id.
    """
    try:
        text = read_small(source, CURRENT, _MAX_POINTER_BYTES).decode(errors="replace").strip()
    except NotThere as error:
        advice = "is it a directory of bundles, and was one published there?"
        raise NothingPublished(f"{source} has no {CURRENT}: {advice}") from error
    if not is_bundle_id(text):
        raise TransferError(f"{source}/{CURRENT} says {text[:80]!r}, which is not a bundle id")
    return text


def _copy_bundle(source: Location, bundle_id: str, store: BundleStore, progress: Progress, check: Check | None) -> int:
    """Copies a bundle into the directory without making it current; returns the number of bytes."""
    manifest_bytes = read_small(source, f"{bundle_id}/{MANIFEST}", MAX_MANIFEST_BYTES)
    with store.adding(bundle_id) as directory:
        (directory / MANIFEST).write_bytes(manifest_bytes)
        manifest = Manifest.read(directory)
        if manifest.bundle_id != bundle_id:
            raise Damaged(f"{source}/{bundle_id}/{MANIFEST} belongs to bundle {manifest.bundle_id}")
        # The manifest cannot list the signature, which covers the manifest. Most bundles are not signed.
        with contextlib.suppress(NotThere):
            signature = read_small(source, f"{bundle_id}/{SIGNATURE}", MAX_MANIFEST_BYTES)
            (directory / SIGNATURE).write_bytes(signature)
        size = sum(expected.size for expected in manifest.files.values())
        _require_space(directory, size)
        progress.begin(f"copying {bundle_id}", size)
        for name, expected in manifest.files.items():
            _copy_file(source, f"{bundle_id}/{name}", directory / name, expected, progress)
        if check is not None:
            check(directory)
    return size + len(manifest_bytes)


def _copy_file(source: Location, name: str, target: Path, expected: FileDigest, progress: Progress) -> None:
    digest, size = hashlib.sha256(), 0
    with target.open("wb") as file:
        for chunk in source.chunks(name):
            size += len(chunk)
            if size > expected.size:
                break
            digest.update(chunk)
            file.write(chunk)
            progress.advance(len(chunk))
    if FileDigest(sha256=digest.hexdigest(), size=size) != expected:
        raise Damaged(f"{source}/{name} does not match the manifest: it is changed, damaged or incomplete")


def _upload_bundle(directory: Path, place: Remote, progress: Progress) -> int:
    manifest = Manifest.read(directory)
    progress.begin(f"copying {directory.name}", sum(expected.size for expected in manifest.files.values()))
    copied = 0
    for name, expected in manifest.files.items():
        copied += _upload_file(directory / name, place, expected, progress)
    # The manifest last: a place that has it has everything.
    for path in (directory / SIGNATURE, directory / MANIFEST):
        if path.is_file():
            copied += _upload_file(path, place, FileDigest.of(path), progress)
    return copied


def _upload_file(path: Path, place: Remote, expected: FileDigest, progress: Progress) -> int:
    name = f"{path.parent.name}/{path.name}"
    if digest_of(place, name) == expected:
        progress.advance(expected.size)
        return 0
    place.upload(path, name, progress.advance)
    if digest_of(place, name) != expected:
        raise TransferError(f"{place}/{name} differs from the bytes that were sent; the pointer there is unchanged")
    return expected.size


def _require_space(directory: Path, size: int) -> None:
    free = shutil.disk_usage(directory).free
    if size > free:
        raise TransferError(f"{directory.parent} has {free} bytes left; the bundle needs {size}; keep fewer bundles")


@contextlib.contextmanager
def writing(store: BundleStore) -> Iterator[None]:
    """Wraps changes of a directory of bundles.

    Raises:
        TransferError: its disk is full, read-only or broken.
    """
    # Reading the source raises no OSError, so this one comes from our own disk.
    try:
        yield
    except OSError as error:
        raise TransferError(f"{store.root} cannot be written: {error.strerror}; it stays as it was") from error
