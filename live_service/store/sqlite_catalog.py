"""The catalogue in a SQLite store."""

import secrets
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from live_service.store.catalog_store import CatalogChanges
from live_service.store.rows import ItemRow, catalog_items
from shortlist.catalog.availability import Availability

_FIELDS = "item_id, hidden, available_from, available_until, position"
_UPSERT = f"INSERT INTO items ({_FIELDS}) VALUES (?, ?, ?, ?, ?) ON CONFLICT (item_id) DO UPDATE SET "  # noqa: S608
_UPSERT += "(hidden, available_from, available_until, position) = "
_UPSERT += "(excluded.hidden, excluded.available_from, excluded.available_until, excluded.position)"
_CHANGES = f"SELECT {_FIELDS} FROM items WHERE position > ? ORDER BY position LIMIT ?"  # noqa: S608
_ITEMS = f"""
SELECT {_FIELDS} FROM items WHERE item_id > ?
AND (hidden OR available_from IS NOT NULL OR available_until IS NOT NULL) ORDER BY item_id LIMIT ?
"""  # noqa: S608
_POSITION = "SELECT position FROM state"
Connection = Callable[[], AbstractContextManager[sqlite3.Connection]]


class SqliteCatalog:
    """A :class:`~live_service.store.catalog_store.CatalogStore` in the file of the events.

    ``transaction`` gives the connection that writes, ``reading`` one that sees one state.
    """

    def __init__(self, transaction: Connection, reading: Connection) -> None:
        self._transaction, self._reading = transaction, reading
        # The file may have been replaced while no process had it open.
        self._identity = secrets.token_hex(8)

    @property
    def identity(self) -> str:
        """See :meth:`CatalogStore.identity`."""
        return self._identity

    def set_availability(self, item_ids: Sequence[str], availability: Availability) -> int:
        """See :meth:`CatalogStore.set_availability`."""
        state = (availability.hidden, availability.available_from, availability.available_until)
        with self._transaction() as writer:
            before = int(writer.execute(_POSITION).fetchone()[0])
            rows = [(item_id, *state, before + place) for place, item_id in enumerate(item_ids, start=1)]
            writer.executemany(_UPSERT, rows)
            position = before + len(item_ids)
            writer.execute("UPDATE state SET position = ?", (position,))
        return position

    def changes(self, after: int, limit: int) -> CatalogChanges:
        """See :meth:`CatalogStore.changes`."""
        rows, position = self._read(_CHANGES, after, limit)
        is_current = len(rows) < limit
        reached = position if is_current else rows[-1][-1]
        return CatalogChanges(items=catalog_items(rows), position=reached, is_current=is_current)

    def items(self, after_id: str, limit: int) -> CatalogChanges:
        """See :meth:`CatalogStore.items`."""
        rows, position = self._read(_ITEMS, after_id, limit)
        return CatalogChanges(items=catalog_items(rows), position=position, is_current=len(rows) < limit)

    def _read(self, select: str, after: int | str, limit: int) -> tuple[list[ItemRow], int]:
        with self._reading() as reader:
            rows = reader.execute(select, (after, limit)).fetchall()
            return rows, int(reader.execute(_POSITION).fetchone()[0])
