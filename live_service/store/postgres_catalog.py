"""The catalogue in a PostgreSQL store."""

import secrets
from collections.abc import Sequence

from live_service.store.catalog_store import CatalogChanges
from live_service.store.postgres_database import PostgresDatabase, move_position
from live_service.store.rows import ItemRow, catalog_items
from shortlist.catalog.availability import Availability

_FIELDS = "item_id, hidden, available_from, available_until, position"
_UPSERT = f"""
INSERT INTO items ({_FIELDS})
SELECT item_id, %s, %s::bigint, %s::bigint, %s + place FROM unnest(%s::text[]) WITH ORDINALITY AS given (item_id, place)
ON CONFLICT (item_id) DO UPDATE SET (hidden, available_from, available_until, position) =
(excluded.hidden, excluded.available_from, excluded.available_until, excluded.position)
"""  # noqa: S608
# One statement, so that the position and the items are of one state.
_READ = f"""
SELECT state.position, found.* FROM state LEFT JOIN
(SELECT {_FIELDS} FROM items WHERE {{condition}} ORDER BY {{order}} LIMIT %s) AS found ON true ORDER BY found.{{order}}
"""  # noqa: S608
_CHANGES = _READ.format(condition="position > %s", order="position")
_IS_LIMITED = "(hidden OR available_from IS NOT NULL OR available_until IS NOT NULL)"
_ITEMS = _READ.format(condition=f"item_id > %s AND {_IS_LIMITED}", order="item_id")


class PostgresCatalog:
    """A :class:`~live_service.store.catalog_store.CatalogStore` in the database of the events."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database
        # The database may have been replaced while no process had it open.
        self._identity = secrets.token_hex(8)

    @property
    def identity(self) -> str:
        """See :meth:`CatalogStore.identity`. Each replica has its own, so a caller of another one reads all again."""
        return self._identity

    def set_availability(self, item_ids: Sequence[str], availability: Availability) -> int:
        """See :meth:`CatalogStore.set_availability`."""
        state = (availability.hidden, availability.available_from, availability.available_until)
        with self._database.transaction() as connection:
            position = move_position(connection, len(item_ids))
            connection.execute(_UPSERT, (*state, position - len(item_ids), list(item_ids)))
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
        with self._database.reading() as connection:
            found = connection.execute(select, (after, limit)).fetchall()
        return [tuple(row) for _, *row in found if row[0] is not None], int(found[0][0])
