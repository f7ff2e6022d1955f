"""The directory of bundles: versions side by side, and the pointer to the one that is served."""

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from shortlist.errors import BundleError

CURRENT = "CURRENT"
_BUNDLE_ID = re.compile(r"\d{8}T\d{6}-[0-9a-f]{4}")
_STAGING = ".staging-"


def new_bundle_id() -> str:
    """A version name that sorts by time, such as ``20261124T101500-3f9c``."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"


class BundleStore:
    """Versions in one directory. Readers never see a version that is not whole, whenever the writer dies."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def current(self) -> Path:
        """The directory of the version to serve.

        Raises:
            BundleError: there is no pointer, or it does not name a bundle of this directory.
        """
        pointer = self.root / CURRENT
        try:
            bundle_id = pointer.read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            raise BundleError(pointer, f"cannot be read: {error}; has the trainer written a bundle here?") from error
        if not _BUNDLE_ID.fullmatch(bundle_id):
            raise BundleError(pointer, f"says {bundle_id[:80]!r}, which is not a bundle id")
        directory = self.root / bundle_id
        if not directory.is_dir():
            raise BundleError(pointer, f"names {bundle_id}, and there is no such directory")
        return directory

    @contextlib.contextmanager
    def publishing(self, bundle_id: str) -> Iterator[Path]:
        """A directory to write a bundle's files into; on a clean exit it becomes the current version.

        Everything is on the disk before the rename, and the rename before the pointer, so that a crash at any moment
        leaves the former version current. What an earlier crash left behind is removed.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        self._remove_abandoned()
        staging = self.root / f"{_STAGING}{os.getpid()}-{bundle_id}"
        staging.mkdir()
        try:
            yield staging
            for path in staging.iterdir():
                _sync(path)
            _sync(staging)
            staging.rename(self.root / bundle_id)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise
        _sync(self.root)
        self.point_to(bundle_id)

    def point_to(self, bundle_id: str) -> None:
        """Makes a version the current one, atomically."""
        temporary = self.root / f"{_STAGING}{os.getpid()}-{CURRENT}"
        temporary.write_text(bundle_id + "\n", encoding="utf-8")
        _sync(temporary)
        temporary.replace(self.root / CURRENT)
        _sync(self.root)

    def _remove_abandoned(self) -> None:
        for path in self.root.glob(f"{_STAGING}*"):
            if _is_running(int(path.name.removeprefix(_STAGING).split("-")[0])):
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _is_running(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
