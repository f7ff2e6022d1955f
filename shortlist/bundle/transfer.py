"""The current bundle of one place, copied to another: whole and verified, or not at all."""

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
    """Who is told how a copy goes on."""

    def begin(self, what: str, size: int) -> None:
        """``size`` bytes are going to be copied."""

    def advance(self, size: int) -> None:
        """So many more are."""


@dataclass(frozen=True, kw_only=True)
class Transferred:
    """The source's current bundle is at the destination.

    ``copied`` is in bytes, 0 when it was there. It is ``current`` there unless somebody pinned another. ``removed`` are
    older versions that had to go.
    """

    bundle_id: str
    copied: int
    current: bool
    removed: tuple[str, ...] = ()


class Puller:
    """Keeps a directory like its source, whose pointer decides what is current; a pin of the source is not copied."""

    def __init__(self, source: str, store: BundleStore, progress: Progress, keep: int = DEFAULT_KEEP) -> None:
        """Raises TransferError when the source is the directory itself, or see :func:`location`."""
        self._source = _other(location(source), store)
        self._store, self._progress, self._keep = store, progress, keep
        # What this process has seen whole, so that a watch does not read it again every time.
        self._whole = ""

    def pull(self) -> Transferred:
        """Copies the source's current bundle unless it is here, makes it current, and removes what is too old.

        Raises:
            TransferError: the source cannot be read, is not whole or is damaged, or this disk is full or read-only;
                the directory stays as it was.
            BundleError: the manifest of the source, or the pointer here, is not one.
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
    """Copies the current bundle elsewhere, and makes it current there; what is there already is only verified.

    Files go first, then the manifest, the pointer last, and each is read back before the next.

    Raises:
        BundleError: there is no current bundle, or it is damaged.
        TransferError: the destination cannot be read or written, or what it gives back is something else.
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
        advice = "is it a directory of bundles, and has one been published there?"
        raise NothingPublished(f"{source} has no {CURRENT}: {advice}") from error
    if not is_bundle_id(text):
        raise TransferError(f"{source}/{CURRENT} says {text[:80]!r}, which is not a bundle id")
    return text


def _copy_bundle(source: Location, bundle_id: str, store: BundleStore, progress: Progress) -> int:
    """Copies a bundle into the directory, where it is not current yet; returns the bytes."""
    manifest_bytes = read_small(source, f"{bundle_id}/{MANIFEST}", MAX_MANIFEST_BYTES)
    with store.adding(bundle_id) as directory:
        (directory / MANIFEST).write_bytes(manifest_bytes)
        manifest = Manifest.read(directory)
        if manifest.bundle_id != bundle_id:
            raise TransferError(f"{source}/{bundle_id}/{MANIFEST} is that of bundle {manifest.bundle_id}")
        # Most bundles are not signed. The manifest cannot name the signature, which covers the manifest.
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
        raise TransferError(f"{source}/{name} is not what the manifest says: it was changed, damaged, or is not whole")


def _upload_bundle(directory: Path, place: Remote, progress: Progress) -> int:
    manifest = Manifest.read(directory)
    progress.begin(f"copying {directory.name}", sum(expected.size for expected in manifest.files.values()))
    copied = 0
    for name, expected in manifest.files.items():
        copied += _upload_file(directory / name, place, expected, progress)
    # The manifest last: where it is, everything is.
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
        raise TransferError(f"{place}/{name} is not what was sent; the pointer there was not changed")
    return expected.size


def _require_space(directory: Path, size: int) -> None:
    free = shutil.disk_usage(directory).free
    if size > free:
        raise TransferError(f"{directory.parent} has {free} bytes left, and the bundle has {size}; keep fewer bundles")


@contextlib.contextmanager
def _writing(store: BundleStore) -> Iterator[None]:
    # Reading the source raises no OSError, so that what comes here is of our own disk.
    try:
        yield
    except OSError as error:
        raise TransferError(f"{store.root} cannot be written: {error.strerror}; it stays as it was") from error
