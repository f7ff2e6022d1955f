"""The catalogue in a SQLite store."""

import json
import secrets
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from live_service.committed import Committed
from live_service.item_change import ItemChange
from live_service.store.catalog_store import CatalogChanges
from live_service.store.item_rows import FIELDS, ON_CONFLICT, ItemRow, changed_rows, changes_query, items_query, page_of

_UPSERT = f"INSERT INTO items ({FIELDS}) VALUES (?, ?, ?, ?, ?, ?) {ON_CONFLICT}"  # noqa: S608
_BY_IDS = f"SELECT {FIELDS} FROM items WHERE item_id IN (SELECT value FROM json_each(?))"  # noqa: S608
_CHANGES, _ITEMS = changes_query("length", "?"), items_query("length", "?")
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

    def change(self, changes: Sequence[ItemChange]) -> Committed[bool]:
        """See :meth:`CatalogStore.change`."""
        ids = json.dumps([change.item_id for change in changes])
        with self._transaction() as writer:
            before = int(writer.execute(_POSITION).fetchone()[0])
            known = {row[0]: ItemRow(*row) for row in writer.execute(_BY_IDS, (ids,))}
            outcomes, rows = changed_rows(changes, known, before)
            position = before + len(rows)
            if rows:
                writer.executemany(_UPSERT, rows)
                writer.execute("UPDATE state SET position = ?", (position,))
        return Committed(position=position, outcomes=outcomes)

    def changes(self, after: int, limit: int) -> CatalogChanges:
        """See :meth:`CatalogStore.changes`."""
        rows, position = self._read(_CHANGES, after, limit)
        page = page_of(rows, limit, position)
        return page if page.is_current else page_of(rows, limit, rows[-1].position)

    def items(self, after_id: str, limit: int) -> CatalogChanges:
        """See :meth:`CatalogStore.items`."""
        rows, position = self._read(_ITEMS, after_id, limit)
        return page_of(rows, limit, position)

    def _read(self, select: str, after: int | str, limit: int) -> tuple[list[ItemRow], int]:
        with self._reading() as reader:
            rows = [ItemRow(*row) for row in reader.execute(select, (after, limit))]
            return rows, int(reader.execute(_POSITION).fetchone()[0])
