"""The interface of every store of the catalogue's changes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from live_service.committed import Committed
from live_service.item_change import ItemChange
from live_service.store.event_store import EventStore
from shortlist.catalog_item import CatalogItem


@dataclass(frozen=True, kw_only=True)
class CatalogChanges:
    """Items as they are since their last change; all up to ``position`` are told, and ``is_current`` when no more are.

    A page of :meth:`CatalogStore.items` is the same, of other items.
    """

    items: Sequence[CatalogItem]
    position: int
    is_current: bool


class CatalogStore(Protocol):
    """Keeps the content and the availability of items durably. All methods are thread-safe.

    Its positions are those of the events in the same store.
    """

    @property
    def identity(self) -> str:
        """Names the store. Another name, where the store may have been replaced by an older copy of itself."""

    def change(self, changes: Sequence[ItemChange]) -> Committed[bool]:
        """Makes all changes, one after the other, or none; the outcomes say which of them made a difference.

        Without a difference the position stays.

        Raises:
            Unavailable: the store cannot write; nothing is changed.
        """

    def changes(self, after: int, limit: int) -> CatalogChanges:
        """At most ``limit`` items that changed after a position, in the order of their last changes.

        They are fewer where their content would not fit into a message. So are those of :meth:`items`.

        Raises:
            Unavailable: the store cannot read.
        """

    def items(self, after_id: str, limit: int) -> CatalogChanges:
        """At most ``limit`` items with ids after ``after_id``, in the order of ids.

        These are all that were put or deleted, or are not simply available.

        Raises:
            Unavailable: the store cannot read.
        """


class LiveStore(EventStore, Protocol):
    """A store of events that also keeps the catalogue."""

    @property
    def catalog(self) -> CatalogStore:
        """The catalogue."""
