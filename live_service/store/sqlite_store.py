"""A store of events in one SQLite file, for one process."""

import contextlib
import json
import logging
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from live_service.events import Event, Forgotten, ForgottenUsers, Histories, Outcome, Page, Recorded
from live_service.store.rows import event_rows, interactions, listed, outcomes, read_place, retractions
from live_service.store.sqlite_catalog import SqliteCatalog
from live_service.store.sqlite_file import SqliteFile, is_replicated
from live_service.store.sqlite_users import SqliteUsers
from shortlist.errors import Unavailable
from shortlist.observability import metrics

_LOG = logging.getLogger(__name__)
_RETRY_SECONDS = 1.0
# A reader that began before a deletion keeps the old state in the log until it ends.
_CLEAN_SECONDS = 5.0
_CLEANING_MILLISECONDS = 20
_TRIMMED_AT_ONCE = 1000
_FIELDS = "user, time, event_id, item_id, event, value, recommendation_id, shown, retracts, position"
_INSERT = f"INSERT INTO events ({_FIELDS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"  # noqa: S608
_BY_IDS = f"SELECT {_FIELDS} FROM events WHERE event_id IN (SELECT value FROM json_each(?))"  # noqa: S608
_HISTORY = """
SELECT item_id, event, value, time FROM events AS e WHERE user = ? AND time > ? AND position > ? AND item_id <> ''
AND NOT EXISTS (SELECT 1 FROM retracted AS r WHERE r.user = e.user AND r.event_id = e.event_id)
ORDER BY time DESC, event_id DESC LIMIT ?
"""
_PAGE = """
SELECT user, time, event_id, position, user_id, item_id, event, value, recommendation_id, shown
FROM events AS e JOIN users USING (user)
WHERE (user, time, event_id) > (?, ?, ?) AND retracts = ''
AND NOT EXISTS (SELECT 1 FROM retracted AS r WHERE r.user = e.user AND r.event_id = e.event_id)
ORDER BY user, time, event_id LIMIT ?
"""
_CROWDED = "SELECT user FROM events GROUP BY user HAVING count(*) > ?"
_OLD = "SELECT user, event_id, time FROM events WHERE time < ?"
_OLD_RETRACTIONS = "SELECT user, event_id, time FROM retracted WHERE time < ?"
_SURPLUS = """
SELECT user, event_id, time FROM
(SELECT * FROM events WHERE user = ? ORDER BY time DESC, event_id DESC LIMIT -1 OFFSET ?)
"""


class _Rollback(Exception):  # noqa: N818 - an instruction, not an error
    """Raised within a transaction, ends it without a trace."""


class SqliteStore:
    """An :class:`~live_service.store.event_store.EventStore` in a file of this machine.

    One connection writes, and each reading thread has its own.
    """

    def __init__(self, file: SqliteFile) -> None:
        self._file = file
        self._writing, self._own = threading.Lock(), threading.local()
        self._writer, self._cleaner = file.connect(), file.connect()
        self._cleaner.execute(f"PRAGMA busy_timeout = {_CLEANING_MILLISECONDS}")
        file.create_or_check(self._writer)
        self._users = SqliteUsers(self._writer)
        self.catalog = SqliteCatalog(self._transaction, self._reading)
        """The catalogue in the same file."""

    @classmethod
    def open(cls, path: Path) -> Self:
        """Opens the file, or creates it with its folder.

        Raises:
            StoreError: another process has it, it is damaged, of another release, or cannot be used.
        """
        file = SqliteFile.locked(path)
        with file.opening():
            store = cls(file)
        metrics.disk_watched("events", path.parent)
        return store

    def record(self, events: Sequence[Event]) -> Recorded:
        """See :meth:`EventStore.record`."""
        recorded = Recorded(position=0, outcomes=[])
        with self._transaction() as writer:
            recorded = self._record(writer, events)
            if Outcome.RECORDED not in recorded.outcomes:
                # A conflict may have brought a new user, of whom nothing is recorded.
                raise _Rollback
        return recorded

    def _record(self, writer: sqlite3.Connection, events: Sequence[Event]) -> Recorded:
        before = _position(writer)
        rows = event_rows(events, self._users.numbers(writer, [event.user_id for event in events]), before)
        inserted = max(0, writer.executemany(_INSERT, rows).rowcount)
        results = [Outcome.RECORDED] * len(rows)
        if inserted < len(rows):
            results = outcomes(rows, writer.execute(_BY_IDS, (json.dumps([row.event_id for row in rows]),)))
        if not inserted:
            return Recorded(position=before, outcomes=results)
        writer.executemany("INSERT INTO retracted VALUES (?, ?, ?) ON CONFLICT DO NOTHING", retractions(rows, results))
        return Recorded(position=_move(writer, before + len(rows)), outcomes=results)

    def histories(self, user_ids: Sequence[str], limit: int, after: int | None, after_position: int = 0) -> Histories:
        """See :meth:`EventStore.histories`."""
        with self._reading() as reader:
            position = _position(reader)
            least = -(2**63) if after is None else after
            known = [self._users.found(reader, user_id) for user_id in user_ids]
            latest = [reader.execute(_HISTORY, (user, least, after_position, limit)).fetchall() for user, _ in known]
        histories = [interactions(reversed(rows)) for rows in latest]
        return Histories(position=position, histories=histories, forgotten=[forgotten for _, forgotten in known])

    def page(self, after: str, limit: int) -> Page:
        """See :meth:`EventStore.page`."""
        place = read_place(after)
        with _available(), self._reading() as reader:
            position = _position(reader)
            rows = reader.execute(_PAGE, (*place, limit)).fetchall()
        return Page(position=position, events=[*map(listed, rows)])

    def forget(self, user_id: str) -> Forgotten:
        """See :meth:`EventStore.forget`."""
        with self._transaction() as writer:
            user = self._users.number_of(writer, user_id)
            deleted = writer.execute("DELETE FROM events WHERE user = ?", (user,)).rowcount
            writer.execute("DELETE FROM retracted WHERE user = ?", (user,))
            position = _move(writer, _position(writer) + 1)
            self._users.forget(writer, user_id, position)
        with _available():
            self._clean()
        return Forgotten(deleted=deleted, position=position)

    def forgotten(self, after_position: int, limit: int) -> ForgottenUsers:
        """See :meth:`EventStore.forgotten`."""
        with _available(), self._reading() as reader:
            return self._users.forgotten(reader, after_position, limit, _position(reader))

    def trim(self, oldest: int, most_per_user: int) -> int:
        """See :meth:`EventStore.trim`."""
        deleted = self._delete_all("events", _OLD, (oldest,))
        # Events that they would take back are refused by now, for they are older still.
        self._delete_all("retracted", _OLD_RETRACTIONS, (oldest,))
        with self._reading() as reader:
            crowded = [user for (user,) in reader.execute(_CROWDED, (most_per_user,))]
        return deleted + sum(self._delete_all("events", _SURPLUS, (user, most_per_user)) for user in crowded)

    def _delete_all(self, table: str, select: str, arguments: tuple[int, ...]) -> int:
        """Deletes the rows that a query selects, and the ids of users who are left without any; the number of rows."""
        deleted = 0
        while True:
            # Few at once, because events wait meanwhile.
            with self._transaction() as writer:
                rows = writer.execute(f"{select} LIMIT {_TRIMMED_AT_ONCE}", arguments).fetchall()
                writer.executemany(f"DELETE FROM {table} WHERE user = ? AND event_id = ? AND time = ?", rows)  # noqa: S608
                self._users.overwrite_idle(writer, {user for user, _, _ in rows})
            deleted += len(rows)
            if len(rows) < _TRIMMED_AT_ONCE:
                return deleted

    def close(self) -> None:
        """See :meth:`EventStore.close`."""
        with self._writing:
            self._file.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """The writing connection, in a transaction that is on disk once the block has ended."""
        with self._writing, _available(), contextlib.suppress(_Rollback):
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                # SQLite has undone it already when the disk is full.
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """The connection of this thread, over one state of the store."""
        with _available():
            reader: sqlite3.Connection | None = getattr(self._own, "reader", None)
            if reader is None:
                reader = self._own.reader = self._file.connect()
            reader.execute("BEGIN")
            try:
                yield reader
            finally:
                reader.execute("ROLLBACK")

    def _clean(self) -> None:
        """Moves the log into the file and empties it: it still holds the pages from before a deletion."""
        end = time.monotonic() + _CLEAN_SECONDS
        while True:
            # It fails while a reader needs the log. Writers wait meanwhile, so each try is short.
            busy, _, _ = self._cleaner.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if not busy:
                return
            if is_replicated(self._cleaner):
                # Litestream always reads, and its replica has the deleted rows anyway.
                _LOG.warning("the log and the replica of Litestream still hold a forgotten user, as docs/live.md says")
                return
            if time.monotonic() >= end:
                raise Unavailable("the events are deleted, but a log still holds them; call again", _RETRY_SECONDS)
            time.sleep(_CLEANING_MILLISECONDS / 1000)


@contextlib.contextmanager
def _available() -> Iterator[None]:
    """Turns an error of SQLite into UNAVAILABLE: a full disk may be mended while the service runs."""
    try:
        yield
    except sqlite3.Error as error:
        raise Unavailable(f"the store of events cannot be used: {error}", _RETRY_SECONDS) from error


def _position(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT position FROM state").fetchone()[0])


def _move(connection: sqlite3.Connection, position: int) -> int:
    connection.execute("UPDATE state SET position = ?", (position,))
    return position
