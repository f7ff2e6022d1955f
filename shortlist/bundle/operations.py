"""An operator's actions on a directory of bundles: list, verify, pin, roll back, collect garbage."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from shortlist.bundle.bundle import Bundle
from shortlist.bundle.bundle_id import is_bundle_id
from shortlist.bundle.manifest import MANIFEST, Manifest
from shortlist.bundle.signature import claimed_fingerprint
from shortlist.bundle.store import BundleStore
from shortlist.errors import BundleError

DEFAULT_KEEP = 3
Check = Callable[[Path], object]
"""Raises BundleError when the bundle of a directory cannot be served, :class:`Unproven` when it came to no verdict."""


class Unproven(BundleError):  # noqa: N818
    """A check ended without a verdict, for example for want of memory: the bundle may pass it later."""


@dataclass(frozen=True, kw_only=True)
class Listed:
    """One version in a listing. ``size`` is in bytes on disk.

    ``manifest`` is None when it cannot be read; ``problem`` then says why. ``signed_by`` is the fingerprint of the key
    that the signature names, unverified; None when it is not signed.
    """

    bundle_id: str
    manifest: Manifest | None
    problem: str
    signed_by: str | None
    size: int
    current: bool
    pinned: bool


@dataclass(frozen=True, kw_only=True)
class RolledBack:
    """A roll-back from ``former`` to the older ``current``. ``refused`` holds the errors of the versions between."""

    former: str
    current: str
    refused: tuple[BundleError, ...]


@dataclass(frozen=True, kw_only=True)
class Collected:
    """The removed versions, the number of leftovers of dead writers, and the ``size`` of all in bytes."""

    bundle_ids: tuple[str, ...]
    abandoned: int
    size: int


def list_bundles(store: BundleStore) -> list[Listed]:
    """Every version, newest first. Reads only the manifests; :func:`verify` checks the files."""
    current, pinned = _or_none(store.current_id), _or_none(store.pinned_id)
    return [_listed(store, bundle_id, current, pinned) for bundle_id in store.ids()]


def verify(store: BundleStore, bundle_id: str) -> Manifest:
    """Compares every file of a version with its manifest, and returns the manifest.

    Raises:
        BundleError: there is no such version, or a file is missing, changed or unreadable; names the first one.
    """
    directory = store.root / bundle_id
    if not is_bundle_id(bundle_id) or not directory.is_dir():
        raise BundleError(directory, "is not a bundle; `shortlist bundles list` shows the existing ones", "missing")
    manifest = Manifest.read(directory)
    if manifest.bundle_id != bundle_id:
        raise BundleError(directory / MANIFEST, f"belongs to bundle {manifest.bundle_id}")
    manifest.verify(directory)
    return manifest


def pin(store: BundleStore, bundle_id: str) -> None:
    """Verifies a version, makes it current, and keeps it current when others are published.

    Raises:
        BundleError: there is no such version, or it is damaged; nothing changes.
    """
    verify(store, bundle_id)
    store.pin(bundle_id)


def roll_back(store: BundleStore) -> RolledBack:
    """Pins the last intact version that was current before this one, or the next one by age.

    Raises:
        BundleError: there is no such version, or no current one; nothing changes.
    """
    former = store.current_id()
    refused: list[BundleError] = []
    for bundle_id in store.older_than(former):
        try:
            pin(store, bundle_id)
        except BundleError as error:
            refused.append(error)
        else:
            return RolledBack(former=former, current=bundle_id, refused=tuple(refused))
    reasons = "".join(f"; {error}" for error in refused)
    raise BundleError(store.root, f"has no usable bundle older than {former}{reasons}", "missing")


def collect_garbage(
    store: BundleStore, keep: int = DEFAULT_KEEP, *, dry_run: bool = False, check: Check = Bundle.open
) -> Collected:
    """Removes all but the newest ``keep`` versions, and the leftovers of dead writers; a dry run removes nothing.

    The current version, its predecessor and the pinned version stay, whatever their age. So does the version that a
    service would start with: the current one if it is usable, else the newest usable one. Usable versions were adopted
    as proven and have their files in full size, or pass the ``check``.

    Raises:
        Unproven: the check of a version came to no verdict; nothing is removed.
        BundleError: the pointer cannot be read, so the served version is unknown.
    """
    current = store.current_id()
    spared = {current, store.pinned_id(), *store.older_than(current)[:1]}
    removed = [bundle_id for bundle_id in store.ids()[keep:] if bundle_id not in spared]
    if removed:
        first = _first_usable(store, current, check)
        removed = [bundle_id for bundle_id in removed if bundle_id != first]
    abandoned = [path for path in store.abandoned() if path.is_dir()]
    size = sum(_size(path) for path in (*abandoned, *(store.root / bundle_id for bundle_id in removed)))
    if not dry_run:
        # Oldest first, so that an interrupted run leaves the newer ones.
        for bundle_id in reversed(removed):
            store.remove(bundle_id)
        store.remove_abandoned()
    return Collected(bundle_ids=tuple(removed), abandoned=len(abandoned), size=size)


def remove_bundles(store: BundleStore, bundle_ids: Sequence[str], *, check: Check = Bundle.open) -> list[str]:
    """Removes versions. The current one stays, the pinned one, and the one that a service would start with.

    Returns:
        The removed ones.

    Raises:
        Unproven: the check of a version came to no verdict; nothing is removed.
        BundleError: the pointer cannot be read, so the served version is unknown.
    """
    current = store.current_id()
    spared = {current, store.pinned_id(), _first_usable(store, current, check)}
    removed = [bundle_id for bundle_id in bundle_ids if bundle_id not in spared]
    for bundle_id in removed:
        store.remove(bundle_id)
    return removed


def _listed(store: BundleStore, bundle_id: str, current: str | None, pinned: str | None) -> Listed:
    manifest, problem = None, ""
    try:
        manifest = Manifest.read(store.root / bundle_id)
    except BundleError as error:
        problem = f"{error.path.name} {error.reason}"
    return Listed(
        bundle_id=bundle_id,
        manifest=manifest,
        problem=problem,
        signed_by=claimed_fingerprint(store.root / bundle_id),
        size=_size(store.root / bundle_id),
        current=bundle_id == current,
        pinned=bundle_id == pinned,
    )


def _or_none(read: Callable[[], str | None]) -> str | None:
    with contextlib.suppress(BundleError):
        return read()
    return None


def _first_usable(store: BundleStore, current: str, check: Check) -> str | None:
    """The version that a service starts with, in the order in which it tries them."""
    for bundle_id in dict.fromkeys([current, *store.ids()]):
        directory = store.root / bundle_id
        try:
            if store.is_proven(bundle_id):
                _require_sizes(directory)
            else:
                check(directory)
        except Unproven:
            raise
        except BundleError:
            continue
        return bundle_id
    return None


def _require_sizes(directory: Path) -> None:
    for name, expected in Manifest.read(directory).files.items():
        path = directory / name
        try:
            size = path.lstat().st_size
        except OSError as error:
            raise BundleError(path, f"cannot be read: {error}", "unreadable") from error
        if size != expected.size:
            raise BundleError(path, f"has {size} bytes, the manifest says {expected.size}", "damaged")


def _size(directory: Path) -> int:
    total = 0
    # Another process may remove the directory at the same time.
    with contextlib.suppress(FileNotFoundError):
        for path in directory.rglob("*"):
            total += path.lstat().st_size if path.is_file() else 0
    return total
