"""Changes of items in the service's own types."""

from dataclasses import dataclass

from shortlist.catalog_item import DELETED, Availability


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemChange:
    """The new state of an item. What is None stays as it was; see :class:`~shortlist.catalog_item.CatalogItem`."""

    item_id: str
    availability: Availability | None = None
    content: bytes | None = None


def deletion(item_id: str) -> ItemChange:
    """The change that deletes an item."""
    return ItemChange(item_id=item_id, content=DELETED)
