"""A store of events in one SQLite file, for one process."""

import contextlib
import fcntl
import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Self

from live_service.events import Event, Forgotten, Histories, Interaction, Outcome, Recorded
from live_service.store.sqlite_users import SqliteUsers
from shortlist.errors import StoreError, Unavailable

_SCHEMA_VERSION = 1
_APPLICATION_ID = 0x53484C56
_RETRY_SECONDS = 1.0
# A reader that began before a deletion keeps the old state in the log until it ends.
_CLEAN_SECONDS = 5.0
_CLEANING_MILLISECONDS = 20
_TRIMMED_AT_ONCE = 1000
# What is deleted is overwritten, and an answer waits until the system has written to the disk.
_PRAGMAS = ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON", "temp_store = MEMORY")
_FIELDS = "user, time, event_id, item_id, event, value, recommendation_id, shown, retracts"
_INSERT = f"INSERT INTO events ({_FIELDS}, position) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"  # noqa: S608
_BY_IDS = f"SELECT {_FIELDS}, position FROM events WHERE event_id IN (SELECT value FROM json_each(?))"  # noqa: S608
_HISTORY = """
SELECT item_id, event, value, time FROM events AS e WHERE user = ? AND time > ? AND item_id <> ''
AND NOT EXISTS (SELECT 1 FROM retracted AS r WHERE r.user = e.user AND r.event_id = e.event_id)
ORDER BY time DESC, event_id DESC LIMIT ?
"""
_CROWDED = "SELECT user FROM events GROUP BY user HAVING count(*) > ?"
_OLD = "SELECT user, event_id, time FROM events WHERE time < ?"
_OLD_RETRACTIONS = "SELECT user, event_id, time FROM retracted WHERE time < ?"
_SURPLUS = """
SELECT user, event_id, time FROM
(SELECT * FROM events WHERE user = ? ORDER BY time DESC, event_id DESC LIMIT -1 OFFSET ?)
"""


class SqliteStore:
    """An :class:`~live_service.store.event_store.EventStore` in a file of this machine.

    One connection writes, and each reading thread has its own. A lock on the file keeps other processes away.
    """

    def __init__(self, path: Path, lock: int) -> None:
        self._path, self._lock_file = path, lock
        self._writing = threading.Lock()
        self._opened: list[sqlite3.Connection] = []
        self._own = threading.local()
        self._writer: sqlite3.Connection
        self._cleaner: sqlite3.Connection
        self._users: SqliteUsers

    @classmethod
    def open(cls, path: Path) -> Self:
        """Opens the file, or creates it with its folder.

        Raises:
            StoreError: another process has it, it is damaged, of another release, or cannot be used.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = _locked(path)
        except OSError as error:
            raise StoreError(f"{path}: cannot be used: {error}") from error
        store = cls(path, lock)
        try:
            store._prepare()
        except sqlite3.Error as error:
            store.close()
            raise StoreError(f"{path}: {_described(error)}") from error
        except BaseException:
            store.close()
            raise
        return store

    def record(self, events: Sequence[Event]) -> Recorded:
        """See :meth:`EventStore.record`."""
        with self._transaction() as writer:
            before = _position(writer)
            users = self._users.numbers(writer, [event.user_id for event in events])
            placed = [
                (user, *_row(event), before + place)
                for place, (user, event) in enumerate(zip(users, events, strict=True), start=1)
            ]
            inserted = max(0, writer.executemany(_INSERT, placed).rowcount)
            outcomes = [Outcome.RECORDED] * len(events)
            if inserted < len(events):
                outcomes = _outcomes(writer, placed)
            if not inserted:
                # A conflict may have brought a new user, of whom nothing is recorded.
                writer.execute("ROLLBACK")
                return Recorded(position=before, outcomes=outcomes)
            taken_back = [
                (user, event.retracts, event.time)
                for user, event, outcome in zip(users, events, outcomes, strict=True)
                if event.retracts and outcome is Outcome.RECORDED
            ]
            writer.executemany("INSERT INTO retracted VALUES (?, ?, ?) ON CONFLICT DO NOTHING", taken_back)
            position = before + len(events)
            writer.execute("UPDATE state SET position = ?", (position,))
        return Recorded(position=position, outcomes=outcomes)

    def histories(self, user_ids: Sequence[str], limit: int, after: int | None) -> Histories:
        """See :meth:`EventStore.histories`."""
        with _available(), self._reading() as reader:
            position = _position(reader)
            least = -(2**63) if after is None else after
            known = [self._users.number_of(reader, user_id) for user_id in user_ids]
            latest = [reader.execute(_HISTORY, (user, least, limit)).fetchall() for user in known]
        return Histories(position=position, histories=[_interactions(rows) for rows in latest])

    def forget(self, user_id: str) -> Forgotten:
        """See :meth:`EventStore.forget`."""
        with self._transaction() as writer:
            user = self._users.number_of(writer, user_id)
            deleted = writer.execute("DELETE FROM events WHERE user = ?", (user,)).rowcount
            writer.execute("DELETE FROM retracted WHERE user = ?", (user,))
            self._users.overwrite(writer, user_id)
            position = _position(writer) + 1
            writer.execute("UPDATE state SET position = ?", (position,))
        with _available():
            self._clean()
        return Forgotten(deleted=deleted, position=position)

    def trim(self, oldest: int, most_per_user: int) -> int:
        """See :meth:`EventStore.trim`."""
        deleted = self._delete_all("events", _OLD, (oldest,))
        # Events that they would take back are refused by now, for they are older still.
        self._delete_all("retracted", _OLD_RETRACTIONS, (oldest,))
        with _available(), self._reading() as reader:
            crowded = [user for (user,) in reader.execute(_CROWDED, (most_per_user,))]
        return deleted + sum(self._delete_all("events", _SURPLUS, (user, most_per_user)) for user in crowded)

    def _delete_all(self, table: str, select: str, arguments: tuple[int, ...]) -> int:
        """Deletes what a query selects, and the ids of users who are left without anything; the number of rows."""
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
            for connection in self._opened:
                connection.close()
            os.close(self._lock_file)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=_CLEAN_SECONDS)
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        self._opened.append(connection)
        return connection

    def _prepare(self) -> None:
        """Creates the tables, or proves that those of the file can be used."""
        self._writer, self._cleaner = self._connect(), self._connect()
        self._cleaner.execute(f"PRAGMA busy_timeout = {_CLEANING_MILLISECONDS}")
        self._create_or_check()
        self._users = SqliteUsers(self._writer)

    def _create_or_check(self) -> None:
        application, version = _pragma(self._writer, "application_id"), _pragma(self._writer, "user_version")
        if not application and not self._writer.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            schema = resources.files(__package__).joinpath("schema.sql").read_text(encoding="utf-8")
            marks = f"PRAGMA application_id = {_APPLICATION_ID}; PRAGMA user_version = {_SCHEMA_VERSION};"
            self._writer.executescript(f"BEGIN; {schema} {marks} COMMIT;")
            return
        if application != _APPLICATION_ID:
            raise StoreError(f"{self._path}: is another program's database; name another file with --store")
        if version != _SCHEMA_VERSION:
            reason = f"has schema {version}, and this release reads {_SCHEMA_VERSION}; use the release that wrote it"
            raise StoreError(f"{self._path}: {reason}")
        found = str(_pragma(self._writer, "quick_check"))
        if found != "ok":
            raise StoreError(f"{self._path}: is damaged ({found.splitlines()[0][:100]}); {_RESTORE}")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """The writing connection, in a transaction that is on disk once the block has ended."""
        with self._writing, _available():
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                if self._writer.in_transaction:
                    self._writer.execute("COMMIT")
            except BaseException:
                # SQLite has undone it already when the disk is full.
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """The connection of this thread, over one state of the store."""
        reader: sqlite3.Connection | None = getattr(self._own, "reader", None)
        if reader is None:
            reader = self._own.reader = self._connect()
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
            if time.monotonic() >= end:
                raise Unavailable("the events are deleted, but a log still holds them; call again", _RETRY_SECONDS)
            time.sleep(_CLEANING_MILLISECONDS / 1000)


_RESTORE = "restore it from a copy, or save its events with `sqlite3 FILE .recover` into a new file"


def _locked(path: Path) -> int:
    # On the file itself, which may have several names. SQLite's own locks are of another kind.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise StoreError(f"{path}: another process writes to it; stop that one, or name another file") from error
    return descriptor


def _described(error: sqlite3.Error) -> str:
    if isinstance(error, sqlite3.OperationalError):
        return f"cannot be used: {error}"
    return f"is damaged ({error}); {_RESTORE}"


@contextlib.contextmanager
def _available() -> Iterator[None]:
    """Turns an error of SQLite into UNAVAILABLE: a full disk may be mended while the service runs."""
    try:
        yield
    except sqlite3.Error as error:
        raise Unavailable(f"the store of events cannot be used: {error}", _RETRY_SECONDS) from error


def _pragma(connection: sqlite3.Connection, name: str) -> object:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def _position(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT position FROM state").fetchone()[0])


def _row(event: Event) -> tuple[object, ...]:
    shown = json.dumps(event.shown, separators=(",", ":"), ensure_ascii=False) if event.shown else ""
    return (
        event.time,
        event.event_id,
        event.item_id,
        event.event,
        event.value,
        event.recommendation_id,
        shown,
        event.retracts,
    )


def _outcomes(connection: sqlite3.Connection, placed: Sequence[tuple[object, ...]]) -> list[Outcome]:
    """The outcome of rows whose insertion was tried, each with its position at the end."""
    ids = json.dumps([row[2] for row in placed])
    known = {row[2]: row for row in connection.execute(_BY_IDS, (ids,))}
    return [_outcome(row, known[row[2]]) for row in placed]


def _outcome(row: tuple[object, ...], known: tuple[object, ...]) -> Outcome:
    if row == known:
        return Outcome.RECORDED
    return Outcome.DUPLICATE if row[:-1] == known[:-1] else Outcome.CONFLICT


def _interactions(latest: Sequence[tuple[str, str, float | None, int]]) -> list[Interaction]:
    return [
        Interaction(item_id=item_id, event=event, value=value, time=moment)
        for item_id, event, value, moment in reversed(latest)
    ]
