"""The open store of a running service: recording, histories, forgetting, and the trimming of old events."""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from live_service.committed import Committed
from live_service.events import Event, Forgotten, ForgottenUsers, Histories, Outcome, Page, Recorded
from live_service.group_commit import GroupCommit
from live_service.item_change import ItemChange
from live_service.settings import Retention
from live_service.store.catalog_store import CatalogStore, LiveStore
from shortlist.errors import Unavailable
from shortlist.observability import metrics

_LOG = logging.getLogger(__name__)
_TRIM_EVERY_SECONDS = 3600.0
_RETRY_SECONDS = 1.0
# A message holds so many, at 40 bytes.
_MOST_FORGOTTEN = 10_000


class _Opened(NamedTuple):
    store: LiveStore
    events: GroupCommit[Event, Outcome]
    items: GroupCommit[ItemChange, bool]


class LiveEvents:
    """Opens its store when the server loads, and closes it after the last call. Thread-safe."""

    def __init__(self, open_store: Callable[[], LiveStore], retention: Retention) -> None:
        self._open_store, self._retention = open_store, retention
        self._opened: _Opened | None = None
        # The time up to which the bundle of the latest reader knows events.
        self._known_until: int | None = None

    def load(self) -> None:
        """Opens the store.

        Raises:
            StoreError: it cannot be used.
        """
        store = self._open_store()
        self._opened = _Opened(
            store, GroupCommit(store.record, "events"), GroupCommit(store.catalog.change, "item changes")
        )

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Deletes old events now and then while the block runs, and closes the store after it."""
        ended = threading.Event()
        trimming = threading.Thread(target=self._keep_trimming, args=(ended,), name="trimming", daemon=True)
        trimming.start()
        try:
            yield
        finally:
            ended.set()
            trimming.join()
            opened = self._loaded()
            opened.events.close()
            opened.items.close()
            opened.store.close()

    def record(self, events: Sequence[Event], timeout: float) -> Recorded:
        """See :meth:`GroupCommit.commit`."""
        recorded = self._loaded().events.commit(events, timeout)
        self._count_late(events, recorded)
        return recorded

    def _count_late(self, events: Sequence[Event], recorded: Recorded) -> None:
        known_until = self._known_until
        if known_until is not None:
            pairs = zip(events, recorded.outcomes, strict=True)
            late = sum(one.time <= known_until and outcome is Outcome.RECORDED for one, outcome in pairs)
            metrics.LATE_EVENTS.inc(late)

    def change_items(self, changes: Sequence[ItemChange], timeout: float) -> Committed[bool]:
        """See :meth:`CatalogStore.change` and :meth:`GroupCommit.commit`."""
        return self._loaded().items.commit(changes, timeout)

    def histories(
        self, user_ids: Sequence[str], limit: int, after: int | None, after_position: int, min_position: int
    ) -> Histories:
        """See :meth:`EventStore.histories`.

        Raises:
            Unavailable: the store cannot read, or has not reached ``min_position``.
        """
        self._known_until = after
        found = self._loaded().store.histories(user_ids, limit, after, after_position)
        if found.position < min_position:
            reason = f"the store has position {found.position}; {min_position} was asked for"
            raise Unavailable(reason, _RETRY_SECONDS)
        return found

    def page(self, after: str, limit: int) -> Page:
        """See :meth:`EventStore.page`."""
        return self._loaded().store.page(after, limit)

    def forget(self, user_id: str) -> Forgotten:
        """See :meth:`EventStore.forget`."""
        return self._loaded().store.forget(user_id)

    def forgotten(self, after_position: int) -> ForgottenUsers:
        """See :meth:`EventStore.forgotten`."""
        return self._loaded().store.forgotten(after_position, _MOST_FORGOTTEN)

    def catalog(self) -> CatalogStore:
        """The catalogue of the store.

        Raises:
            Unavailable: the store is not open yet.
        """
        return self._loaded().store.catalog

    def _loaded(self) -> _Opened:
        if self._opened is None:
            raise Unavailable("the store of events is still being opened", _RETRY_SECONDS)
        return self._opened

    def _keep_trimming(self, ended: threading.Event) -> None:
        while True:
            try:
                oldest = int(self._retention.oldest_seconds() * 1e9)
                deleted = self._loaded().store.trim(oldest, self._retention.events_per_user)
                metrics.TRIMMED_EVENTS.inc(deleted)
                if deleted:
                    _LOG.info("deleted %d events beyond what is kept", deleted)
            except Unavailable as error:
                _LOG.warning("old events stay for now: %s", error)
            if ended.wait(_TRIM_EVERY_SECONDS):
                return
