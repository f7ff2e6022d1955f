"""The catalogue in a PostgreSQL store."""

import secrets
from collections.abc import Sequence

import psycopg

from live_service.committed import Committed
from live_service.item_change import ItemChange
from live_service.store.catalog_store import CatalogChanges
from live_service.store.item_rows import FIELDS, ON_CONFLICT, ItemRow, changed_rows, changes_query, items_query, page_of
from live_service.store.postgres_database import Connection, PostgresDatabase, move_position

# In binary form, for lists of texts are slow to quote.
_UPSERT = f"""
INSERT INTO items ({FIELDS})
SELECT * FROM unnest(%b::text[], %b::boolean[], %b::bigint[], %b::bigint[], %b::bytea[], %b::bigint[]) {ON_CONFLICT}
"""  # noqa: S608
_BY_IDS = f"SELECT {FIELDS} FROM items WHERE item_id = ANY(%s)"  # noqa: S608
# One statement, so that the position and the items are of one state.
_READ = "SELECT state.position, found.* FROM state LEFT JOIN ({query}) AS found ON true ORDER BY found.{order}"
_CHANGES = _READ.format(query=changes_query("octet_length", "%s"), order="position")
_ITEMS = _READ.format(query=items_query("octet_length", "%s"), order="item_id")


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

    def change(self, changes: Sequence[ItemChange]) -> Committed[bool]:
        """See :meth:`CatalogStore.change`."""
        committed = Committed[bool](position=0, outcomes=[])
        with self._database.transaction() as connection:
            # Keeps other writers waiting, so the known rows are those that the changes meet.
            before = move_position(connection, 0)
            committed = self._change(connection, changes, before)
            if not any(committed.outcomes):
                raise psycopg.Rollback
        return committed

    def _change(self, connection: Connection, changes: Sequence[ItemChange], before: int) -> Committed[bool]:
        found = connection.execute(_BY_IDS, ([change.item_id for change in changes],))
        outcomes, rows = changed_rows(changes, {row[0]: ItemRow(*row) for row in found}, before)
        if not rows:
            return Committed(position=before, outcomes=outcomes)
        connection.execute(_UPSERT, [list(column) for column in zip(*rows, strict=True)])
        return Committed(position=move_position(connection, len(rows)), outcomes=outcomes)

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
        with self._database.reading() as connection:
            found = connection.execute(select, (after, limit)).fetchall()
        return [ItemRow(*row) for _, *row in found if row[0] is not None], int(found[0][0])
