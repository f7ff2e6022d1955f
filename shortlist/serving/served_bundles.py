"""The bundles that a service answers from; a new one replaces the old without disturbing any call."""

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from shortlist.bundle.bundle import Bundle
from shortlist.bundle.store import BundleStore
from shortlist.errors import BundleError, BundleNotServed, Unavailable
from shortlist.observability import metrics
from shortlist.serving.loading import in_thread
from shortlist.serving.memory import give_back_freed

_LOG = logging.getLogger(__name__)
_POLL_SECONDS = 0.5
# An unusable bundle is tried again, since the volume may have been slow or full, but not for ever.
_MAX_ATTEMPTS = 3
_FIRST_PAUSE_SECONDS, _PAUSE_GROWTH = 2.0, 4.0
_LOADER_NICENESS = 10
_JOIN_SECONDS = 0.1


class OverBundle(Protocol):
    """Answers calls from one bundle, such as a retriever or a recommender."""

    @property
    def bundle(self) -> Bundle:
        """The bundle."""


T = TypeVar("T", bound=OverBundle)


@dataclass(frozen=True, kw_only=True)
class LoadFailure:
    """The bundle that ``CURRENT`` names and that could not be loaded.

    ``reason`` and ``time`` (UTC) are of the last of ``attempts``. ``retry_at`` is on the clock of ``time.monotonic``,
    None when there will be no further attempt.
    """

    bundle_id: str
    reason: str
    attempts: int
    time: datetime
    retry_at: float | None


class ServedBundles(Generic[T]):
    """The current bundle of a directory and its predecessor, each opened by ``open``.

    ``open`` verifies, loads and warms up a bundle. A call uses one bundle from beginning to end, and keeps it alive
    when it is replaced meanwhile.
    """

    def __init__(self, store: BundleStore, open: Callable[[Path], T]) -> None:
        self._store, self._open = store, open
        # The current bundle first. Always replaced as a whole, so that readers need no lock.
        self._served: tuple[T, ...] = ()
        self._failure: LoadFailure | None = None

    def get(self, bundle_id: str = "") -> T:
        """The object that answers from this bundle; from the current one when the id is empty.

        Raises:
            Unavailable: no bundle is loaded yet.
            BundleNotServed: the bundle is not loaded.
        """
        served = self._served
        if not served:
            raise Unavailable("the bundle is still being loaded")
        if not bundle_id:
            return served[0]
        for one in served:
            if one.bundle.bundle_id == bundle_id:
                return one
        ids = [one.bundle.bundle_id for one in served]
        raise BundleNotServed(f"bundle {bundle_id!r} is not served here; ask for {' or '.join(ids)}", ids)

    def previous(self) -> T | None:
        """The object that answers from the predecessor of the current bundle; None without one."""
        return self._served[1] if len(self._served) > 1 else None

    @property
    def previous_id(self) -> str:
        """The id of the current bundle's predecessor; empty without one."""
        previous = self.previous()
        return previous.bundle.bundle_id if previous else ""

    @property
    def failure(self) -> LoadFailure | None:
        """Why the bundle that ``CURRENT`` names is not served; None when it is served."""
        return self._failure

    def load(self) -> None:
        """Loads the first bundle: the current one, or else the newest usable one.

        So a restarted process survives a bad bundle that its neighbours have refused.

        Raises:
            BundleError: there is no pointer, or no bundle can be used; the error is the current one's.
        """
        current = self._store.current_id()
        error = self._try_to_take(current)
        if error is None:
            return
        self._note(current, error)
        if not self._take_another_than(current):
            raise error

    def follow(self) -> None:
        """Reads the pointer once, and serves the bundle that it names if it can be used; never raises."""
        try:
            wanted = self._store.current_id()
        except BundleError as error:
            # The pointer is read again every time, but the same error is logged once.
            if self._failure is None or self._failure.reason != str(error):
                self._note("", error)
            return
        if wanted == self._served[0].bundle.bundle_id:
            self._failure = None
        elif self._is_due(wanted):
            self._take_or_note(wanted)
            give_back_freed()

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Follows the pointer while the block runs, in a thread of its own."""
        stop = threading.Event()
        thread, _ = in_thread("bundles", lambda: self._watch(stop))
        try:
            yield
        finally:
            stop.set()
            # A load that goes on is left behind.
            thread.join(_JOIN_SECONDS)

    def _watch(self, stop: threading.Event) -> None:
        # Loading takes only the CPU time that calls leave. Thread priorities exist only on Linux.
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOADER_NICENESS)
        while not stop.wait(_POLL_SECONDS):
            self.follow()

    def _take(self, bundle_id: str) -> None:
        """Makes a bundle current; a loaded one only changes its role."""
        started = time.monotonic()
        known = [one for one in self._served if one.bundle.bundle_id == bundle_id]
        taken = known[0] if known else self._open(self._store.root / bundle_id)
        self._served = (taken, *self._served[:1])
        seconds = time.monotonic() - started
        metrics.bundle_loaded(seconds)
        metrics.bundle_served([one.bundle.bundle_id for one in self._served], taken.bundle.create_time)
        _LOG.info("serving bundle %s, loaded in %.2f s", bundle_id, seconds)

    def _take_or_note(self, bundle_id: str) -> None:
        failed = self._try_to_take(bundle_id)
        if failed is None:
            self._failure = None
        else:
            self._note(bundle_id, failed)
        # Its traceback leads back to this frame: a circle that would keep the refused bundle mapped.
        del failed

    def _try_to_take(self, bundle_id: str) -> BundleError | None:
        """The error of a bundle that cannot be taken. Every exception counts, MemoryError too."""
        try:
            self._take(bundle_id)
        except BundleError as error:
            return error
        except Exception as error:
            _LOG.exception("loading bundle %s failed", bundle_id)
            return BundleError(self._store.root / bundle_id, f"{type(error).__name__}; the log says more")
        return None

    def _take_another_than(self, current: str) -> bool:
        for bundle_id in self._store.ids():
            if bundle_id != current and self._try_to_take(bundle_id) is None:
                _LOG.error("serving bundle %s, because %s cannot be used", bundle_id, current)
                return True
        return False

    def _is_due(self, bundle_id: str) -> bool:
        failure = self._failure
        if failure is None or failure.bundle_id != bundle_id:
            return True
        return failure.retry_at is not None and time.monotonic() >= failure.retry_at

    def _note(self, bundle_id: str, error: BundleError) -> None:
        former = self._failure
        attempts = former.attempts + 1 if former is not None and former.bundle_id == bundle_id else 1
        pause = _FIRST_PAUSE_SECONDS * _PAUSE_GROWTH ** (attempts - 1)
        # A bundle that never ends costs a minute of a core each time, and perhaps a thread for ever.
        again = attempts < _MAX_ATTEMPTS and error.kind != "timeout"
        retry_at = time.monotonic() + pause if again else None
        # Set last: a caller who reads of the failure finds it in the log and in the metrics.
        metrics.bundle_failed(error.kind)
        outlook = f"the next is in {pause:g} s" if again else "it was the last"
        if bundle_id:
            _LOG.error("attempt %d to load bundle %s failed, and %s: %s", attempts, bundle_id, outlook, error)
        else:
            _LOG.error("CURRENT cannot be read, so the former bundle stays: %s", error)
        self._failure = LoadFailure(
            bundle_id=bundle_id, reason=str(error), attempts=attempts, time=datetime.now(UTC), retry_at=retry_at
        )
