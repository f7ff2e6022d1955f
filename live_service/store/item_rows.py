"""Items as rows of a table; both stores share them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from live_service.item_change import ItemChange
from live_service.store.catalog_store import CatalogChanges
from shortlist.catalog_item import Availability, CatalogItem

# A message with twice as much is refused by its reader. An item more may be in it.
_PAGE_BYTES = 2 * 2**20
FIELDS = "item_id, hidden, available_from, available_until, content, position"
_CHANGED = ("hidden", "available_from", "available_until", "content", "position")
_GIVEN = ", ".join(f"excluded.{name}" for name in _CHANGED)
ON_CONFLICT = f"ON CONFLICT (item_id) DO UPDATE SET ({', '.join(_CHANGED)}) = ({_GIVEN})"
_PAGE = """
SELECT {fields} FROM (
  SELECT item_id, sum(bytes) OVER (ORDER BY {order}) - bytes AS bytes_before FROM (
    SELECT item_id, position, coalesce({size}(content), 0) AS bytes FROM items
    WHERE {condition} ORDER BY {order} LIMIT {parameter}
  ) AS asked
) AS page JOIN items USING (item_id) WHERE bytes_before < {most} ORDER BY {order}
"""
_IS_LISTED = "(hidden OR available_from IS NOT NULL OR available_until IS NOT NULL OR content IS NOT NULL)"


class ItemRow(NamedTuple):
    """The columns of an item, in the order of :data:`FIELDS`. ``position`` is that of its last change."""

    item_id: str
    hidden: bool = False
    available_from: int | None = None
    available_until: int | None = None
    content: bytes | None = None
    position: int = 0


def changes_query(size: str, parameter: str) -> str:
    """The query of the items that changed after a position: at most so many, in the order of their last changes.

    ``size`` is the function that counts the bytes of a blob, and ``parameter`` the place of a parameter.
    """
    return _query("position", f"position > {parameter}", size, parameter)


def items_query(size: str, parameter: str) -> str:
    """The query of the items after an id: at most so many that a list has, in the order of their ids."""
    return _query("item_id", f"item_id > {parameter} AND {_IS_LISTED}", size, parameter)


def _query(order: str, condition: str, size: str, parameter: str) -> str:
    return _PAGE.format(
        fields=FIELDS, order=order, condition=condition, size=size, parameter=parameter, most=_PAGE_BYTES
    )


def changed_rows(
    changes: Iterable[ItemChange], known: Mapping[str, ItemRow], before: int
) -> tuple[list[bool], list[ItemRow]]:
    """Whether each change makes a difference, and the rows of the items that are different in the end.

    Changes count one after the other. ``known`` has the stored rows of their items. The positions of the new rows
    follow the one ``before``.
    """
    outcomes: list[bool] = []
    rows: dict[str, ItemRow] = {}
    for change in changes:
        former = rows.get(change.item_id) or known.get(change.item_id) or ItemRow(change.item_id)
        row = _changed(former, change)
        outcomes.append(row != former)
        if row != former:
            rows.pop(change.item_id, None)
            rows[change.item_id] = row
    return outcomes, [row._replace(position=place) for place, row in enumerate(rows.values(), start=before + 1)]


def page_of(rows: Sequence[ItemRow], limit: int, position: int) -> CatalogChanges:
    """A page of at most ``limit`` items that a query gave, all as of ``position``."""
    size = sum(len(row.content) for row in rows if row.content)
    is_current = len(rows) < limit and size < _PAGE_BYTES
    return CatalogChanges(items=[_item(row) for row in rows], position=position, is_current=is_current)


def _changed(row: ItemRow, change: ItemChange) -> ItemRow:
    if change.content is not None:
        row = row._replace(content=change.content)
    if (asked := change.availability) is not None:
        row = row._replace(
            hidden=asked.hidden, available_from=asked.available_from, available_until=asked.available_until
        )
    return row


def _item(row: ItemRow) -> CatalogItem:
    return CatalogItem(
        item_id=row.item_id,
        availability=Availability(
            hidden=bool(row.hidden), available_from=row.available_from, available_until=row.available_until
        ),
        content=row.content,
    )
