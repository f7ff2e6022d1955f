"""Copies the current bundle from one place to another: whole and verified, or not at all."""

import contextlib
import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

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
from shortlist.bundle.manifest import MANIFEST, MAX_MANIFEST_BYTES, FileDigest, Manifest
from shortlist.bundle.operations import DEFAULT_KEEP, collect_garbage, verify
from shortlist.bundle.signature import SIGNATURE
from shortlist.bundle.store import CURRENT, BundleStore, is_bundle_id
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
    """The source's current bundle, now at the destination.

    ``copied`` is in bytes, 0 when the bundle was there already. ``current`` is False when another bundle is pinned
    there. ``removed`` are the older versions that were removed.
    """

    bundle_id: str
    copied: int
    current: bool
    removed: tuple[str, ...] = ()


class Puller:
    """Makes a directory follow its source: the source's pointer decides the current bundle. Pins are not copied.

    Raises:
        TransferError: the source is the directory itself, or cannot be one; see :func:`location`.
    """

    def __init__(self, source: str, store: BundleStore, progress: Progress, keep: int = DEFAULT_KEEP) -> None:
        self._source = _other(location(source), store)
        self._store, self._progress, self._keep = store, progress, keep
        # The bundle that this process has verified, so that a watch does not read it again every time.
        self._whole = ""

    def pull(self) -> Transferred:
        """Copies the source's current bundle unless it is here, makes it current, and removes old versions.

        Raises:
            TransferError: the source cannot be read, is incomplete or damaged, or this disk is full or read-only;
                the directory stays as it was.
            BundleError: the source's manifest or this directory's pointer is malformed.
        """
        bundle_id = _current_of(self._source)
        if self._serves(bundle_id):
            return Transferred(bundle_id=bundle_id, copied=0, current=True)
        with _writing(self._store):
            taken = _take(self._source, bundle_id, self._store, self._progress)
            self._whole = bundle_id
            return replace(taken, removed=collect_garbage(self._store, self._keep).bundle_ids)

    def _serves(self, bundle_id: str) -> bool:
        with contextlib.suppress(BundleError):
            served = self._store.current().name == bundle_id
            return served and (bundle_id == self._whole or _is_whole(self._store, bundle_id))
        return False


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
        with _writing(there):
            return _take(_other(Folder(store.root), there), store.current_id(), there, progress)
    bundle_id = store.current_id()
    verify(store, bundle_id)
    copied = _upload_bundle(store.root / bundle_id, place, progress)
    place.write(CURRENT, f"{bundle_id}\n".encode())
    return Transferred(bundle_id=bundle_id, copied=copied, current=True)


def _other(source: Location, store: BundleStore) -> Location:
    if isinstance(source, Folder) and source.path.resolve() == store.root.resolve():
        raise TransferError(f"{source} cannot be copied to itself")
    return source


def _take(source: Location, bundle_id: str, store: BundleStore, progress: Progress) -> Transferred:
    copied = 0 if _is_whole(store, bundle_id) else _copy_bundle(source, bundle_id, store, progress)
    return Transferred(bundle_id=bundle_id, copied=copied, current=store.adopt(bundle_id))


def _is_whole(store: BundleStore, bundle_id: str) -> bool:
    with contextlib.suppress(BundleError):
        verify(store, bundle_id)
        return True
    return False


def _current_of(source: Location) -> str:
    try:
        text = read_small(source, CURRENT, _MAX_POINTER_BYTES).decode(errors="replace").strip()
    except NotThere as error:
        advice = "is it a directory of bundles, and was one published there?"
        raise NothingPublished(f"{source} has no {CURRENT}: {advice}") from error
    if not is_bundle_id(text):
        raise TransferError(f"{source}/{CURRENT} says {text[:80]!r}, which is not a bundle id")
    return text


def _copy_bundle(source: Location, bundle_id: str, store: BundleStore, progress: Progress) -> int:
    """Copies a bundle into the directory without making it current; returns the number of bytes."""
    manifest_bytes = read_small(source, f"{bundle_id}/{MANIFEST}", MAX_MANIFEST_BYTES)
    with store.adding(bundle_id) as directory:
        (directory / MANIFEST).write_bytes(manifest_bytes)
        manifest = Manifest.read(directory)
        if manifest.bundle_id != bundle_id:
            raise TransferError(f"{source}/{bundle_id}/{MANIFEST} belongs to bundle {manifest.bundle_id}")
        # The manifest cannot list the signature, which covers the manifest. Most bundles are not signed.
        with contextlib.suppress(NotThere):
            signature = read_small(source, f"{bundle_id}/{SIGNATURE}", MAX_MANIFEST_BYTES)
            (directory / SIGNATURE).write_bytes(signature)
        size = sum(expected.size for expected in manifest.files.values())
        _require_space(directory, size)
        progress.begin(f"copying {bundle_id}", size)
        for name, expected in manifest.files.items():
            _copy_file(source, f"{bundle_id}/{name}", directory / name, expected, progress)
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
        raise TransferError(f"{source}/{name} does not match the manifest: it is changed, damaged or incomplete")


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
def _writing(store: BundleStore) -> Iterator[None]:
    # Reading the source raises no OSError, so this one comes from our own disk.
    try:
        yield
    except OSError as error:
        raise TransferError(f"{store.root} cannot be written: {error.strerror}; it stays as it was") from error
