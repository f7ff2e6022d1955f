"""The catalogue of a running service: its changes, and those who watch them."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from live_service.store.catalog_store import CatalogChanges, CatalogStore
from shortlist.catalog.availability import Availability

# Also the longest time until a change that another process made of the same store is told.
HEARTBEAT_SECONDS = 0.5
_PAGE = 1000


@dataclass(frozen=True, kw_only=True)
class Told:
    """Changes for one who watches, from the beginning on where ``begins``."""

    changes: CatalogChanges
    begins: bool


class LiveCatalog:
    """The catalogue of a store that opens later, as ``store`` gives it. Thread-safe.

    ``store`` raises Unavailable until the store is open.
    """

    def __init__(self, store: Callable[[], CatalogStore]) -> None:
        self._store = store
        self._changed = threading.Condition()
        self._version = 0

    @property
    def store_id(self) -> str:
        """See :meth:`CatalogStore.identity`."""
        return self._store().identity

    def set_availability(self, item_ids: Sequence[str], availability: Availability) -> int:
        """See :meth:`CatalogStore.set_availability`; a repeated id counts once."""
        position = self._store().set_availability([*dict.fromkeys(item_ids)], availability)
        self.wake()
        return position

    def items(self, after_id: str, limit: int) -> CatalogChanges:
        """See :meth:`CatalogStore.items`."""
        return self._store().items(after_id, limit)

    def watch(self, store_id: str, position: int, is_watched: Callable[[], bool]) -> Iterator[Told]:
        """The changes since a position of a store, as they happen, while ``is_watched``.

        Without a change, one with no items comes after ``HEARTBEAT_SECONDS``.

        Raises:
            Unavailable: the store cannot read.
        """
        store, begins = self._store(), False
        if store_id != store.identity or store.changes(position, 1).position < position:
            position, begins = 0, True
        while is_watched():
            version = self._version
            changes = store.changes(position, _PAGE)
            yield Told(changes=changes, begins=begins)
            position, begins = changes.position, False
            if changes.is_current:
                self._wait(version)

    def wake(self) -> None:
        """Makes all who watch look at once."""
        with self._changed:
            self._version += 1
            self._changed.notify_all()

    def _wait(self, version: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._version != version, HEARTBEAT_SECONDS)
