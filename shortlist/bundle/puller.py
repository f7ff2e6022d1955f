"""Makes a directory follow its source, with bundles that are proven to work."""

import contextlib
import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from shortlist.bundle.bundle_id import is_bundle_id
from shortlist.bundle.locations import NotThere, TransferError, location
from shortlist.bundle.operations import DEFAULT_KEEP, Check, Unproven, collect_garbage, verify
from shortlist.bundle.store import BundleStore
from shortlist.bundle.transfer import Damaged, Progress, Transferred, current_of, other, take, writing
from shortlist.errors import BundleError, ShortlistError

# A fresh directory looks for a usable bundle among so many of the source's, and no longer.
_MOST_TRIED = 5
# Each attempt copies the bundle again.
_MAX_ATTEMPTS = 3
_FIRST_PAUSE_SECONDS, _PAUSE_GROWTH = 30.0, 4.0
_Files: TypeAlias = dict[str, tuple[int, int, int]]


@dataclass(frozen=True, kw_only=True)
class Pulled(Transferred):
    """The bundle that the directory has now.

    ``refused`` is the error of the source's current bundle where the directory has an older one instead. ``removed``
    are the older versions that were removed.
    """

    refused: ShortlistError | None = None
    removed: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Failure:
    """The latest of ``attempts`` to prove a bundle. ``retry_at`` is on the clock of ``time.monotonic``."""

    error: BundleError
    attempts: int
    retry_at: float


class Puller:
    """Makes a directory follow its source: the source's pointer decides the current bundle. Pins are not copied.

    ``check`` proves each bundle before it becomes current. A refusal is remembered; a check without a verdict
    (:class:`~shortlist.bundle.operations.Unproven`) is tried three times, after growing pauses.

    Raises:
        TransferError: the source is the directory itself, or cannot be one; see :func:`location`.
    """

    def __init__(
        self, source: str, store: BundleStore, progress: Progress, *, keep: int = DEFAULT_KEEP, check: Check
    ) -> None:
        self._source = other(location(source), store)
        self._store, self._progress, self._keep, self._check = store, progress, keep, check
        # The bundles that this process has verified, so that a watch reads them again only when their files change.
        self._whole: dict[str, _Files] = {}
        self._failures: dict[str, _Failure] = {}

    def pull(self) -> Pulled:
        """Copies the source's current bundle unless it is here, makes it current, and removes old versions.

        When that bundle is refused, the directory keeps its own current one. Without a usable one it takes the newest
        of the source's older bundles that is usable.

        Raises:
            TransferError: the source cannot be read, is incomplete or damaged, or this disk is full or read-only;
                the directory stays as it was.
            BundleError: no bundle of the source can be used, its manifest is malformed, or this directory's pointer is.
        """
        wanted = current_of(self._source)
        try:
            return self._take(wanted)
        except (BundleError, Damaged, NotThere) as error:
            here = self._current_but(wanted)
            if here is None:
                return self._take_older(wanted, error)
            failure = self._failures.get(wanted)
            if failure is None or error is not failure.error:
                # An incomplete bundle may be complete at the next try.
                raise
            return Pulled(bundle_id=here, copied=0, current=True, refused=error)

    def _take(self, bundle_id: str) -> Pulled:
        failure = self._failures.get(bundle_id)
        if failure is not None and time.monotonic() < failure.retry_at:
            raise failure.error
        if self._is_usable(bundle_id):
            current = self._store.current_id() == bundle_id
            if current or self._store.pinned_id() not in {None, bundle_id}:
                return Pulled(bundle_id=bundle_id, copied=0, current=current)
        with writing(self._store):
            try:
                taken = take(self._source, bundle_id, self._store, self._progress, self._prove)
            except BundleError as error:
                raise self._named(error) from None
            self._whole[bundle_id] = _files(self._store.root / bundle_id)
            removed = self._collect()
        return Pulled(bundle_id=bundle_id, copied=taken.copied, current=taken.current, removed=removed)

    def _collect(self) -> tuple[str, ...]:
        # Without a verdict nothing is removed; the next bundle brings another try.
        with contextlib.suppress(Unproven):
            removed = collect_garbage(self._store, self._keep, check=self._check).bundle_ids
            for bundle_id in removed:
                self._whole.pop(bundle_id, None)
            return removed
        return ()

    def _take_older(self, wanted: str, refused: ShortlistError) -> Pulled:
        names: list[str] = []
        # Some may read the files of a store and not list them.
        with contextlib.suppress(TransferError):
            names = self._source.names()
        older = sorted((one for one in names if is_bundle_id(one) and one < wanted), reverse=True)
        for bundle_id in older[:_MOST_TRIED]:
            # An incomplete one is as useless as a refused one.
            with contextlib.suppress(BundleError, Damaged, NotThere):
                return replace(self._take(bundle_id), refused=refused)
        raise refused

    def _prove(self, directory: Path) -> None:
        try:
            self._check(directory)
        except BundleError as error:
            failure = self._failure_after(self._failures.get(directory.name), self._named(error))
            self._failures[directory.name] = failure
            raise failure.error from error

    @staticmethod
    def _failure_after(former: _Failure | None, error: BundleError) -> _Failure:
        # Bundles never change under their id, so a refusal holds for ever.
        if not isinstance(error, Unproven):
            return _Failure(error=error, attempts=1, retry_at=math.inf)
        attempts = former.attempts + 1 if former is not None else 1
        pause = _FIRST_PAUSE_SECONDS * _PAUSE_GROWTH ** (attempts - 1) if attempts < _MAX_ATTEMPTS else math.inf
        numbered = _with_text(error, f"{error}; attempt {attempts} of {_MAX_ATTEMPTS}")
        return _Failure(error=numbered, attempts=attempts, retry_at=time.monotonic() + pause)

    def _named(self, error: BundleError) -> BundleError:
        """The same error. A path in an unfinished copy, which is gone, becomes the one in the source."""
        if not error.path.is_relative_to(self._store.root):
            return error
        _, *inside = error.path.relative_to(self._store.root).parts
        if not inside or not is_bundle_id(inside[0]):
            return error
        place = "/".join([str(self._source), *inside])
        # Not by the path alone, which would make one slash of the two in a URL.
        return _with_text(type(error)(Path(place), error.reason, error.kind), f"{place}: {error.reason}")

    def _current_but(self, wanted: str) -> str | None:
        """The current bundle here, if it is another one and usable."""
        with contextlib.suppress(BundleError):
            here = self._store.current_id()
            if here != wanted and self._is_usable(here):
                return here
        return None

    def _is_usable(self, bundle_id: str) -> bool:
        """Whether the bundle is here, whole and proven, and the pointer can be read."""
        with contextlib.suppress(BundleError):
            self._store.current()
            if not self._store.is_proven(bundle_id):
                return False
            files = _files(self._store.root / bundle_id)
            if self._whole.get(bundle_id) != files:
                verify(self._store, bundle_id)
                self._whole[bundle_id] = files
            return True
        return False


def _files(directory: Path) -> _Files:
    """Changes whenever somebody replaces or writes a file of the directory."""
    found: _Files = {}
    # Another process may remove the directory at the same time.
    with contextlib.suppress(OSError):
        for path in directory.iterdir():
            status = path.lstat()
            found[path.name] = (status.st_ino, status.st_size, status.st_mtime_ns)
    return found


def _with_text(error: BundleError, text: str) -> BundleError:
    error.args = (text,)
    return error
