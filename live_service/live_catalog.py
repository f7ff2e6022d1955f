"""The catalogue of a running service: its changes, and those who watch them."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from live_service.committed import Committed
from live_service.item_change import ItemChange
from live_service.store.catalog_store import CatalogChanges, CatalogStore

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

    ``change`` writes changes within a timeout in seconds. Both raise Unavailable until the store is open.
    """

    def __init__(
        self,
        store: Callable[[], CatalogStore],
        change: Callable[[Sequence[ItemChange], float], Committed[bool]],
    ) -> None:
        self._store, self._change = store, change
        self._changed = threading.Condition()
        self._version = 0

    @property
    def store_id(self) -> str:
        """See :meth:`CatalogStore.identity`."""
        return self._store().identity

    def change(self, changes: Sequence[ItemChange], timeout: float) -> Committed[bool]:
        """See :meth:`CatalogStore.change`; raises TimeoutError when it takes longer than ``timeout`` seconds."""
        committed = self._change(changes, timeout)
        self.wake()
        return committed

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
