"""The file of a SQLite store: its lock, its connections, and the proof that it can be used."""

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Self

from shortlist.errors import StoreError

# The schema of schema.sql, and then of each migration, applied in this order.
_FIRST_VERSION = 3
_MIGRATIONS = {4: "0004_item_content.sql"}
_VERSION = max(_MIGRATIONS)
_APPLICATION_ID = 0x53484C56
# A backup may hold the lock of writers for a moment.
_BUSY_SECONDS = 5.0
# Deleted content is overwritten, and an answer waits until the system has written to the disk.
_PRAGMAS = ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON", "temp_store = MEMORY")
# Litestream may add its own tables before there are any of ours.
_OUR_TABLES = "SELECT count(*) FROM sqlite_schema WHERE name NOT GLOB '_litestream_*'"
_RESTORE = "restore it from a copy, or save its events with `sqlite3 FILE .recover` into a new file"


class SqliteFile:
    """A file that this process alone writes to. A lock on the file keeps other processes away."""

    def __init__(self, path: Path, lock: int) -> None:
        self._path, self._lock = path, lock
        self._opened: list[sqlite3.Connection] = []

    @classmethod
    def locked(cls, path: Path) -> Self:
        """The file at a path, which is created with its folder when it is missing.

        Raises:
            StoreError: another process has it, or it cannot be used.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return cls(path, _lock(path))
        except OSError as error:
            raise StoreError(f"{path}: cannot be used: {error}") from error

    @contextlib.contextmanager
    def opening(self) -> Iterator[None]:
        """Closes the file when the block fails, and turns errors of SQLite into StoreError."""
        try:
            yield
        except sqlite3.Error as error:
            self.close()
            raise StoreError(f"{self._path}: {_described(error)}") from error
        except BaseException:
            self.close()
            raise

    def connect(self) -> sqlite3.Connection:
        """A further connection, which ends with the file.

        Raises:
            sqlite3.Error: it cannot be opened.
        """
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=_BUSY_SECONDS)
        self._opened.append(connection)
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        return connection

    def create_or_check(self, connection: sqlite3.Connection) -> None:
        """Creates the tables, or proves that those of the file can be used, and brings them to this release.

        Raises:
            StoreError: the file is another program's, of another release, or damaged.
            sqlite3.Error: it is damaged.
        """
        application, version = _pragma(connection, "application_id"), int(_pragma(connection, "user_version"))
        if not application and not connection.execute(_OUR_TABLES).fetchone()[0]:
            mark = f"PRAGMA application_id = {_APPLICATION_ID};"
            connection.executescript(f"BEGIN; {_text('schema.sql')} {mark} {_migrations(_FIRST_VERSION)} COMMIT;")
            return
        if application != _APPLICATION_ID:
            raise StoreError(f"{self._path}: is another program's database; name another file with --store")
        if not _FIRST_VERSION <= version <= _VERSION:
            known = f"{_FIRST_VERSION} to {_VERSION}"
            reason = f"has schema {version}, and this release reads {known}; use the release that wrote it"
            raise StoreError(f"{self._path}: {reason}")
        found = str(_pragma(connection, "quick_check"))
        if found != "ok":
            raise StoreError(f"{self._path}: is damaged ({found.splitlines()[0][:100]}); {_RESTORE}")
        if version < _VERSION:
            connection.executescript(f"BEGIN; {_migrations(version)} COMMIT;")

    def close(self) -> None:
        """Ends all connections, and lets other processes have the file."""
        for connection in self._opened:
            connection.close()
        os.close(self._lock)


def is_replicated(connection: sqlite3.Connection) -> bool:
    """Whether Litestream copies the file, or has done so: it keeps a table of its own in it."""
    found = connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = '_litestream_seq'").fetchone()
    return bool(found[0])


def _lock(path: Path) -> int:
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


def _migrations(after: int) -> str:
    """The statements that bring a schema to this release's."""
    texts = [_text(f"sqlite_migrations/{name}") for version, name in sorted(_MIGRATIONS.items()) if version > after]
    return f"{' '.join(texts)} PRAGMA user_version = {_VERSION};"


def _text(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _pragma(connection: sqlite3.Connection, name: str) -> int | str:
    found: int | str = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return found
