"""A store of events in a PostgreSQL database, which several processes may share."""

import logging
from collections.abc import Sequence
from typing import Self

import psycopg

from live_service.events import Event, Forgotten, ForgottenUsers, Histories, Outcome, Page, Recorded
from live_service.store.postgres_catalog import PostgresCatalog
from live_service.store.postgres_database import Connection, PostgresDatabase, move_position
from live_service.store.postgres_url import PostgresUrl
from live_service.store.postgres_users import PostgresUsers
from live_service.store.rows import HistoryRow, event_rows, interactions, listed, outcomes, read_place, retractions
from shortlist.errors import Unavailable

_LOG = logging.getLogger(__name__)
_TRIMMED_AT_ONCE = 1000
_TRIM_SECONDS, _VACUUM_SECONDS = 600.0, 5.0
_FIELDS = "user_number, time, event_id, item_id, event, value, recommendation_id, shown, retracts, position"
# In binary form, for lists of texts are slow to quote.
_INSERT = f"""
INSERT INTO events ({_FIELDS})
SELECT * FROM unnest(
  %b::bigint[], %b::bigint[], %b::text[], %b::text[], %b::text[], %b::float8[], %b::text[], %b::text[], %b::text[],
  %b::bigint[]
) AS given ({_FIELDS}) ORDER BY given.position
ON CONFLICT DO NOTHING
"""  # noqa: S608
_BY_IDS = f"SELECT {_FIELDS} FROM events WHERE event_id = ANY(%s)"  # noqa: S608
_RETRACT = "INSERT INTO retracted (user_number, event_id, time) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
# One statement, so the position and all histories are of one state.
_HISTORIES = """
SELECT state.position, asked.place, forgotten.position, found.item_id, found.event, found.value, found.time
FROM state CROSS JOIN unnest(%(hashes)s::bytea[]) WITH ORDINALITY AS asked (hash, place)
LEFT JOIN users ON users.hash = asked.hash
LEFT JOIN forgotten ON forgotten.hash = asked.hash
LEFT JOIN LATERAL (
  SELECT e.item_id, e.event, e.value, e.time, e.event_id FROM events AS e
  WHERE e.user_number = users.user_number AND e.time > %(after)s AND e.position > %(after_position)s
  AND e.item_id <> ''
  AND NOT EXISTS (SELECT FROM retracted AS r WHERE r.user_number = e.user_number AND r.event_id = e.event_id)
  ORDER BY e.time DESC, e.event_id DESC LIMIT %(limit)s
) AS found ON true
ORDER BY asked.place, found.time, found.event_id
"""
_PAGE = """
SELECT state.position, found.* FROM state LEFT JOIN (
  SELECT e.user_number, e.time, e.event_id, e.position, users.user_id, e.item_id, e.event, e.value,
  e.recommendation_id, e.shown FROM events AS e JOIN users USING (user_number)
  WHERE (e.user_number, e.time, e.event_id) > (%s, %s, %s) AND e.retracts = ''
  AND NOT EXISTS (SELECT FROM retracted AS r WHERE r.user_number = e.user_number AND r.event_id = e.event_id)
  ORDER BY e.user_number, e.time, e.event_id LIMIT %s
) AS found ON true ORDER BY found.user_number, found.time, found.event_id
"""
_CROWDED = "SELECT user_number FROM events GROUP BY user_number HAVING count(*) > %s"
_DELETE = """
DELETE FROM {table} AS t USING ({selected} LIMIT {limit}) AS old
WHERE t.user_number = old.user_number AND t.event_id = old.event_id AND t.time = old.time RETURNING t.user_number
"""


def _deletion(table: str, condition: str) -> str:
    selected = f"SELECT user_number, event_id, time FROM {table} WHERE {condition}"  # noqa: S608
    return _DELETE.format(table=table, selected=selected, limit=_TRIMMED_AT_ONCE)


_DELETE_OLD, _DELETE_OLD_RETRACTIONS = _deletion("events", "time < %s"), _deletion("retracted", "time < %s")
_DELETE_SURPLUS = _deletion("events", "user_number = %s ORDER BY time DESC, event_id DESC OFFSET %s")


class PostgresStore:
    """An :class:`~live_service.store.event_store.EventStore` in a database that several replicas may serve.

    Every writer first moves the position in the one row of ``state``. PostgreSQL lets the next writer have that row
    only once the commit is visible. So positions grow in the order in which commits become visible, and a reader that
    sees a position sees every event up to it. A sequence would not do: its numbers become visible in any order.
    """

    def __init__(self, database: PostgresDatabase) -> None:
        self._database, self._users = database, PostgresUsers(database.hash_key)
        self.catalog = PostgresCatalog(database)
        """The catalogue in the same database."""

    @classmethod
    def open(cls, url: str) -> Self:
        """Connects to a database, and makes the tables that it lacks.

        Raises:
            StoreError: the URL is malformed, the database cannot be reached, or its tables cannot be used.
        """
        return cls(PostgresDatabase.open(PostgresUrl(url)))

    def record(self, events: Sequence[Event]) -> Recorded:
        """See :meth:`EventStore.record`."""
        recorded = Recorded(position=0, outcomes=[])
        with self._database.transaction() as connection:
            recorded = self._record(connection, events)
            if Outcome.RECORDED not in recorded.outcomes:
                # A conflict may have brought a new user, of whom nothing is recorded.
                raise psycopg.Rollback
        return recorded

    def _record(self, connection: Connection, events: Sequence[Event]) -> Recorded:
        position = move_position(connection, len(events))
        before = position - len(events)
        rows = event_rows(events, self._users.numbers(connection, [event.user_id for event in events]), before)
        inserted = connection.execute(_INSERT, [list(column) for column in zip(*rows, strict=True)]).rowcount
        results = [Outcome.RECORDED] * len(rows)
        if inserted < len(rows):
            results = outcomes(rows, connection.execute(_BY_IDS, ([row.event_id for row in rows],)))
        if taken_back := retractions(rows, results):
            connection.cursor().executemany(_RETRACT, taken_back)
        return Recorded(position=position if inserted else before, outcomes=results)

    def histories(self, user_ids: Sequence[str], limit: int, after: int | None, after_position: int = 0) -> Histories:
        """See :meth:`EventStore.histories`."""
        asked = {
            "hashes": self._users.hashes(user_ids),
            "after": -(2**63) if after is None else after,
            "after_position": after_position,
            "limit": limit,
        }
        with self._database.reading() as connection:
            found = connection.execute(_HISTORIES, asked).fetchall()
        latest: list[list[HistoryRow]] = [[] for _ in user_ids]
        forgotten = [0] * len(user_ids)
        for _, place, when, *row in found:
            forgotten[place - 1] = when or 0
            if row[0] is not None:
                latest[place - 1].append(tuple(row))
        histories = [interactions(rows) for rows in latest]
        return Histories(position=found[0][0], histories=histories, forgotten=forgotten)

    def page(self, after: str, limit: int) -> Page:
        """See :meth:`EventStore.page`."""
        place = read_place(after)
        with self._database.reading() as connection:
            found = connection.execute(_PAGE, (*place, limit)).fetchall()
        events = [listed(tuple(row)) for _, *row in found if row[0] is not None]
        return Page(position=found[0][0], events=events)

    def forget(self, user_id: str) -> Forgotten:
        """See :meth:`EventStore.forget`. The database's files and its log keep old versions of rows for a while."""
        deleted = 0
        with self._database.transaction() as connection:
            position = move_position(connection, 1)
            user = self._users.forget(connection, user_id, position)
            deleted = connection.execute("DELETE FROM events WHERE user_number = %s", (user,)).rowcount
            connection.execute("DELETE FROM retracted WHERE user_number = %s", (user,))
        self._vacuum()
        return Forgotten(deleted=deleted, position=position)

    def _vacuum(self) -> None:
        try:
            with self._database.maintenance(_VACUUM_SECONDS) as connection:
                connection.execute("VACUUM users, events, retracted")
        except Unavailable:
            _LOG.warning("the deleted rows of a forgotten user stay on the disk until the database's next vacuum")

    def forgotten(self, after_position: int, limit: int) -> ForgottenUsers:
        """See :meth:`EventStore.forgotten`."""
        with self._database.reading() as connection:
            return self._users.forgotten(connection, after_position, limit)

    def trim(self, oldest: int, most_per_user: int) -> int:
        """See :meth:`EventStore.trim`."""
        with self._database.maintenance(_TRIM_SECONDS) as connection:
            deleted = self._delete_all(connection, _DELETE_OLD, (oldest,))
            # Events that they would take back are refused by now, for they are older still.
            self._delete_all(connection, _DELETE_OLD_RETRACTIONS, (oldest,))
            crowded = connection.execute(_CROWDED, (most_per_user,)).fetchall()
            return deleted + sum(
                self._delete_all(connection, _DELETE_SURPLUS, (user, most_per_user)) for (user,) in crowded
            )

    def _delete_all(self, connection: Connection, delete: str, arguments: tuple[int, ...]) -> int:
        """Deletes rows, and users who are left without any; the number of rows."""
        deleted = 0
        while True:
            # Few at once, because events wait meanwhile.
            with connection.transaction():
                connection.execute("SELECT position FROM state FOR UPDATE")
                users = [user for (user,) in connection.execute(delete, arguments)]
                self._users.delete_idle(connection, users)
            deleted += len(users)
            if len(users) < _TRIMMED_AT_ONCE:
                return deleted

    def close(self) -> None:
        """See :meth:`EventStore.close`."""
        self._database.close()
