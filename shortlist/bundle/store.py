"""The directory of bundles: versions side by side, and a pointer to the served one."""

import contextlib
import logging
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from shortlist.bundle.bundle_id import is_bundle_id
from shortlist.bundle.locks import is_locked, locked
from shortlist.bundle.pointer_history import PointerHistory
from shortlist.bundle.pointers import read_pointer
from shortlist.errors import BundleError

CURRENT = "CURRENT"
PINNED = "PINNED"
_LOG = logging.getLogger(__name__)
_STAGING = ".staging-"
_LOCK = ".lock"


class BundleStore:
    """The versions in one directory. Readers never see an incomplete version, whenever a writer dies.

    Several writers may work at once; a lock guards every change of names and pointers. Methods that write raise OSError
    when the disk is full or read-only, and leave the directory as it was.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._history = PointerHistory(root)

    def current(self) -> Path:
        """The directory of the current version.

        Raises:
            BundleError: there is no pointer, or it names no bundle of this directory.
        """
        directory = self.root / self.current_id()
        if not directory.is_dir():
            pointer = self.root / CURRENT
            raise BundleError(pointer, f"names {directory.name}, but there is no such directory", "missing")
        return directory

    def current_id(self) -> str:
        """The id in the pointer, whether or not that bundle exists.

        Raises:
            BundleError: there is no pointer, or it holds no bundle id.
        """
        try:
            return read_pointer(self.root / CURRENT)
        except FileNotFoundError as error:
            reason = f"cannot be read: {error}; has the trainer written a bundle here?"
            raise BundleError(self.root / CURRENT, reason, "missing") from error

    def ids(self) -> list[str]:
        """The versions in the directory, newest first."""
        return sorted((path.name for path in self.root.glob("*") if self._is_version(path)), reverse=True)

    def pinned_id(self) -> str | None:
        """The pinned version; None when the next published version becomes current.

        Raises:
            BundleError: the pin cannot be read, or holds no bundle id.
        """
        try:
            return read_pointer(self.root / PINNED)
        except FileNotFoundError:
            return None

    def older_than(self, bundle_id: str) -> list[str]:
        """The versions to go back to from one, best first: the ones that were current before it, then by id."""
        ids, known = self.ids(), self._history.ids()
        earlier = [one for one in self._history.before(bundle_id) if one in ids]
        return [*earlier, *(one for one in ids if one < bundle_id and one not in known)]

    def is_proven(self, bundle_id: str) -> bool:
        """Whether the version was adopted as proven."""
        return self._history.is_proven(bundle_id)

    @contextlib.contextmanager
    def publishing(self, bundle_id: str) -> Iterator[Path]:
        """A directory of that name for a new bundle's files; after a clean exit it is the current version.

        Files reach the disk before the rename, and the rename before the pointer. So a crash at any moment leaves the
        former version current. A pinned version stays current.
        """
        with self.adding(bundle_id) as directory:
            yield directory
        if not self.adopt(bundle_id):
            _LOG.warning("%s will not be served: %s is pinned in %s", bundle_id, self.pinned_id(), self.root)

    @contextlib.contextmanager
    def adding(self, bundle_id: str) -> Iterator[Path]:
        """Like :meth:`publishing`, but leaves the pointer. Replaces a version of this id, which must be damaged.

        Removes the leftovers of earlier crashes.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        self.remove_abandoned()
        version, staging, replaced = self.root / bundle_id, self._aside(bundle_id), self._aside(bundle_id)
        with contextlib.ExitStack() as alive:
            with self._changing():
                alive.enter_context(locked(_lock_of(staging)))
                staging.mkdir()
            try:
                # Under its own name, so that it can be opened as a bundle before others see it.
                arriving = staging / bundle_id
                arriving.mkdir()
                yield arriving
                for path in arriving.iterdir():
                    _sync(path)
                _sync(arriving)
                with self._changing():
                    if version.exists():
                        version.rename(replaced)
                    arriving.rename(version)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
        _sync(self.root)
        shutil.rmtree(replaced, ignore_errors=True)

    @contextlib.contextmanager
    def only_writer(self, bundle_id: str) -> Iterator[None]:
        """Waits until no other process copies this version; the block runs alone."""
        self.root.mkdir(parents=True, exist_ok=True)
        with locked(self.root / f"{_STAGING}{bundle_id}{_LOCK}"):
            yield

    def adopt(self, bundle_id: str, *, proven: bool = False) -> bool:
        """Makes a version current unless another is pinned; returns whether it is current now.

        A ``proven`` one was loaded, and has answered a first query.

        Raises:
            BundleError: there is no such version.
        """
        with self._changing():
            self._require_version(bundle_id)
            if proven:
                self._history.prove(bundle_id)
            if self.pinned_id() not in {None, bundle_id}:
                return False
            self._point_to(bundle_id)
        return True

    def point_to(self, bundle_id: str) -> None:
        """Makes a version current, atomically."""
        with self._changing():
            self._point_to(bundle_id)

    def pin(self, bundle_id: str) -> None:
        """Makes a version current, and keeps it current when others are published.

        Raises:
            BundleError: there is no such version.
        """
        with self._changing():
            self._require_version(bundle_id)
            self._write(PINNED, bundle_id)
            self._point_to(bundle_id)

    def unpin(self) -> str | None:
        """Ends the pin and returns the pinned version, None without a readable one. The pointer stays."""
        pinned = None
        with self._changing():
            with contextlib.suppress(BundleError):
                pinned = self.pinned_id()
            (self.root / PINNED).unlink(missing_ok=True)
            _sync(self.root)
        return pinned

    def remove(self, bundle_id: str) -> None:
        """Removes a version. Readers see all of it or nothing; a service that has mapped its files keeps them.

        Raises:
            BundleError: the version is current or pinned, or the pointer cannot be read.
        """
        version = self.root / bundle_id
        with self._changing():
            if bundle_id in {self.current_id(), self.pinned_id()}:
                raise BundleError(version, "is current or pinned, and cannot be removed")
            # Another process may have removed it.
            if version.is_dir():
                version.rename(self._aside(bundle_id))
                _sync(self.root)
        self.remove_abandoned()

    def abandoned(self) -> list[Path]:
        """The leftovers of dead writers."""
        with self._changing():
            return [path for path in self.root.glob(f"{_STAGING}*") if not is_locked(_lock_of(path))]

    def remove_abandoned(self) -> None:
        """Removes the leftovers of dead writers."""
        for path in self.abandoned():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def _is_version(self, path: Path) -> bool:
        return is_bundle_id(path.name) and path.is_dir()

    def _require_version(self, bundle_id: str) -> None:
        if not self._is_version(self.root / bundle_id):
            raise BundleError(self.root / bundle_id, "does not exist", "missing")

    def _aside(self, name: str) -> Path:
        """A new path beside the versions. It counts as abandoned unless a writer holds its lock."""
        return self.root / f"{_STAGING}{name}-{secrets.token_hex(4)}"

    def _changing(self) -> contextlib.AbstractContextManager[None]:
        return locked(self.root / _LOCK)

    def _point_to(self, bundle_id: str) -> None:
        self._history.add(bundle_id)
        self._write(CURRENT, bundle_id)

    def _write(self, name: str, bundle_id: str) -> None:
        temporary = self._aside(name)
        try:
            temporary.write_text(bundle_id + "\n", encoding="utf-8")
            _sync(temporary)
            temporary.replace(self.root / name)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync(self.root)


def _lock_of(path: Path) -> Path:
    return path if path.name.endswith(_LOCK) else path.with_name(path.name + _LOCK)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
