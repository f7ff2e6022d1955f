"""Makes a directory follow its source, with bundles that are proven to work."""

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path

from shortlist.bundle.locations import NotThere, TransferError, location
from shortlist.bundle.operations import DEFAULT_KEEP, Check, collect_garbage, verify
from shortlist.bundle.store import BundleStore, is_bundle_id
from shortlist.bundle.transfer import Damaged, Progress, Transferred, current_of, other, take, writing
from shortlist.errors import BundleError, ShortlistError

# A fresh directory looks for a usable bundle among so many of the source's, and no longer.
_MOST_TRIED = 5


@dataclass(frozen=True, kw_only=True)
class Pulled(Transferred):
    """The bundle that the directory has now.

    ``refused`` is the error of the source's current bundle where the directory has an older one instead. ``removed``
    are the older versions that were removed.
    """

    refused: ShortlistError | None = None
    removed: tuple[str, ...] = ()


class Puller:
    """Makes a directory follow its source: the source's pointer decides the current bundle. Pins are not copied.

    ``check`` proves each bundle before it becomes current.

    Raises:
        TransferError: the source is the directory itself, or cannot be one; see :func:`location`.
    """

    def __init__(
        self, source: str, store: BundleStore, progress: Progress, *, keep: int = DEFAULT_KEEP, check: Check
    ) -> None:
        self._source = other(location(source), store)
        self._store, self._progress, self._keep, self._check = store, progress, keep, check
        # The bundle that this process has verified, so that a watch does not read it again every time.
        self._whole = ""
        # Bundles never change under their id, so a refused one is not copied again.
        self._refused: dict[str, BundleError] = {}

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
            if wanted not in self._refused:
                # An incomplete bundle may be complete at the next try.
                raise
            return Pulled(bundle_id=here, copied=0, current=True, refused=error)

    def _take(self, bundle_id: str) -> Pulled:
        if bundle_id in self._refused:
            raise self._refused[bundle_id]
        if self._serves(bundle_id):
            return Pulled(bundle_id=bundle_id, copied=0, current=True)
        with writing(self._store):
            taken = take(self._source, bundle_id, self._store, self._progress, self._prove)
            self._whole = bundle_id
            collected = collect_garbage(self._store, self._keep, check=self._check)
        return Pulled(bundle_id=bundle_id, copied=taken.copied, current=taken.current, removed=collected.bundle_ids)

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
            self._refused[directory.name] = error
            raise

    def _current_but(self, wanted: str) -> str | None:
        """The current bundle here, if it is another one and usable."""
        with contextlib.suppress(BundleError):
            here = self._store.current_id()
            if here != wanted and self._serves(here):
                return here
        return None

    def _serves(self, bundle_id: str) -> bool:
        """Whether the bundle is current here, whole and proven."""
        with contextlib.suppress(BundleError):
            if self._store.current().name != bundle_id or not self._store.is_proven(bundle_id):
                return False
            if bundle_id != self._whole:
                verify(self._store, bundle_id)
            self._whole = bundle_id
            return True
        return False
