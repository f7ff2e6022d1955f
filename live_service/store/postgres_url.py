"""The URL of a PostgreSQL store, and the settings of its connections."""

import re
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from shortlist.errors import StoreError

SCHEMA = "shortlist_live"
"""The schema of all tables, so that other programs may share the database."""
# libpq would take a part of such a password for a host or a port, and quote it in errors.
_PLAIN = re.compile(r"postgres(?:ql)?://(?:[^@/?#]*@)?[^@]*")
_DEFAULTS: Mapping[str, str] = {
    "application_name": "live_service",
    "connect_timeout": "10",
    # A database that is gone without a word is noticed within ten seconds.
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "2",
    "tcp_user_timeout": "10000",
    # Of several hosts, the one that takes events.
    "target_session_attrs": "read-write",
}
_SESSION: Mapping[str, str] = {
    "search_path": SCHEMA,
    # Writers wait for each other on one row, and see what the one before has committed.
    "default_transaction_isolation": "read committed",
    "lock_timeout": "3s",
    # A replica that is frozen within a transaction would keep the others from writing.
    "idle_in_transaction_session_timeout": "5s",
}


class PostgresUrl:
    """A URL whose password never shows: neither in errors nor in a ``repr``.

    Raises:
        StoreError: it is malformed.
    """

    def __init__(self, url: str) -> None:
        if not _PLAIN.fullmatch(url):
            raise StoreError("--store: write @, /, ? and # in a user or a password as %40, %2F, %3F and %23")
        try:
            self._parameters: Mapping[str, Any] = {**_DEFAULTS, **conninfo_to_dict(url)}
        except psycopg.ProgrammingError:
            # Its message quotes the URL.
            raise StoreError("--store: the URL of PostgreSQL is malformed") from None

    def __repr__(self) -> str:
        given = self._parameters
        return f"database {given.get('dbname', 'of the user')} at {given.get('host', 'the local socket')}"

    @property
    def parameters(self) -> dict[str, Any]:
        """The arguments of ``psycopg.connect``."""
        return {**self._parameters, "autocommit": True}


def prepare_session(connection: psycopg.Connection[Any], statement_seconds: float = 5.0) -> None:
    """Bounds the waits of a new connection, and each of its statements.

    Raises:
        psycopg.Error: the connection failed.
    """
    session = {**_SESSION, "statement_timeout": f"{statement_seconds * 1000:.0f}ms"}
    settings = ", ".join(["set_config(%s, %s, false)"] * len(session))
    connection.execute(f"SELECT {settings}", [text for setting in session.items() for text in setting])
    # The server may be set to answer before an event is on disk.
    connection.execute(
        "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
    )
