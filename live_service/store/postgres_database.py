"""The connections of a PostgreSQL store: a pool, transactions, and waits that are all bounded."""

import contextlib
import logging
import select
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg_pool import ConnectionPool

from live_service.store.postgres_migrations import migrate
from live_service.store.postgres_url import PostgresUrl, prepare_session
from shortlist.errors import StoreError, Unavailable

_LOG = logging.getLogger(__name__)
_RETRY_SECONDS = 1.0
_MOST_CONNECTIONS = 10
_CONNECTION_SECONDS = 2.0
# Afterwards the next call tries again. With longer tries the pool would wait for minutes after a long outage.
_RECONNECT_SECONDS = 2.0
_MIGRATION_SECONDS = 600.0
Connection = psycopg.Connection[Any]
_MOVE = "UPDATE state SET position = position + %s RETURNING position"


class PostgresDatabase:
    """A database whose tables are those of this release. All methods are thread-safe.

    ``hash_key`` is the key of the hashes of its user ids.
    """

    def __init__(self, url: PostgresUrl) -> None:
        self._url = url
        with self._connected(_MIGRATION_SECONDS) as connection:
            migrate(connection, repr(url))
            _warn_of_risks(connection)
            self.hash_key: bytes = _single(connection, "SELECT hash_key FROM state")
        self._pool = ConnectionPool(
            kwargs=url.parameters,
            min_size=1,
            max_size=_MOST_CONNECTIONS,
            timeout=_CONNECTION_SECONDS,
            reconnect_timeout=_RECONNECT_SECONDS,
            configure=prepare_session,
            check=_check_suspect,
            name="events",
            open=False,
        )
        # The first call need not wait for a connection.
        self._pool.open(wait=True)

    @classmethod
    def open(cls, url: PostgresUrl) -> "PostgresDatabase":
        """Connects, and brings the tables to this release.

        Raises:
            StoreError: it cannot be reached, or its tables cannot be used.
        """
        try:
            return cls(url)
        except psycopg.Error as error:
            raise StoreError(f"{url}: cannot be used: {error}") from error

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection; each of its statements sees one state of the database.

        Raises:
            Unavailable: the database cannot be used now.
        """
        with _available(), self._pool.connection() as connection:
            yield connection

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection in a transaction, which is on disk once the block has ended.

        ``psycopg.Rollback`` ends the block without a trace.

        Raises:
            Unavailable: nothing is written; or, when the connection is lost during the commit, all or nothing.
        """
        with self.reading() as connection, connection.transaction():
            yield connection

    @contextlib.contextmanager
    def maintenance(self, statement_seconds: float) -> Iterator[Connection]:
        """A connection of its own, whose statements may take so long.

        Raises:
            Unavailable: the database cannot be used now.
        """
        with _available(), self._connected(statement_seconds) as connection:
            yield connection

    def close(self) -> None:
        """Ends all connections."""
        self._pool.close()

    @contextlib.contextmanager
    def _connected(self, statement_seconds: float) -> Iterator[Connection]:
        with psycopg.connect(**self._url.parameters) as connection:
            prepare_session(connection, statement_seconds)
            yield connection


def move_position(connection: Connection, count: int) -> int:
    """Moves the position on, and keeps other writers waiting until the end of the transaction; the new position."""
    moved = connection.execute(_MOVE, (count,)).fetchone()
    assert moved is not None
    return int(moved[0])


def _check_suspect(connection: Connection) -> None:
    """Refuses a connection that the database has ended. Costs no answer of the database as long as it is silent."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if poll.poll(0):
        ConnectionPool.check_connection(connection)


def _warn_of_risks(connection: Connection) -> None:
    if _single(connection, "SELECT current_setting('fsync')") == "off":
        _LOG.warning("the database has fsync = off: a power cut loses acknowledged events, or all of them")


def _single(connection: Connection, query: str) -> Any:  # noqa: ANN401 - any type of a column
    row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]


@contextlib.contextmanager
def _available() -> Iterator[None]:
    """Turns an error of the database into UNAVAILABLE. Its text may name hosts and users, so callers do not get it."""
    try:
        yield
    except psycopg.Error as error:
        _LOG.warning("the database of events: %s", error)
        raise Unavailable("the database of events cannot be used now", _RETRY_SECONDS) from error
