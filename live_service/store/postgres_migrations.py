"""Brings the tables of a database to this release: numbered SQL files, each applied once."""

import logging
import re
from collections.abc import Mapping
from importlib import resources
from typing import Any

import psycopg
from psycopg import sql

from live_service.store.postgres_url import SCHEMA
from shortlist.errors import StoreError

_LOG = logging.getLogger(__name__)
# Any number that other programs do not use for an advisory lock: the replicas of a release start at once.
_LOCK = 0x53484C56
_NAME = re.compile(r"(\d{4})_\w+\.sql")
_VERSIONS = """
CREATE TABLE migrations (
  version integer PRIMARY KEY, name text NOT NULL, applied timestamptz NOT NULL DEFAULT now()
)
"""


def migrate(connection: psycopg.Connection[Any], database: str) -> None:
    """Applies the migrations that the database lacks, all or none of them.

    Raises:
        StoreError: the tables are another program's or a later release's, or may not be made; names ``database``.
        psycopg.Error: the database cannot be used.
    """
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise StoreError(f"{database}: has the encoding {encoding}; create one with ENCODING 'UTF8'")
    try:
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            _apply(connection, database)
    except psycopg.errors.InsufficientPrivilege as error:
        owner = f"create the schema {SCHEMA} in it, owned by the user of --store"
        raise StoreError(f"{database}: its tables may not be made ({error}); {owner}") from error


def _apply(connection: psycopg.Connection[Any], database: str) -> None:
    known, version = _known(), _version(connection, database)
    if version > max(known):
        reason = f"has schema {version}, and this release knows {max(known)}; use the release that wrote it"
        raise StoreError(f"{database}: {reason}")
    if version == 0:
        if connection.execute("SELECT to_regnamespace(%s)", (SCHEMA,)).fetchone() == (None,):
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(SCHEMA)))
        connection.execute(_VERSIONS)
    for number in sorted(number for number in known if number > version):
        text = resources.files(__package__).joinpath("migrations", known[number]).read_text(encoding="utf-8")
        connection.execute(text)
        connection.execute("INSERT INTO migrations (version, name) VALUES (%s, %s)", (number, known[number]))
        _LOG.info("%s: applied %s", database, known[number])


def _version(connection: psycopg.Connection[Any], database: str) -> int:
    """The number of the last migration, 0 in a database without our tables."""
    foreign = f"{database}: its schema {SCHEMA} is another program's; name another database with --store"
    tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", (SCHEMA,)).fetchall()
    if not tables:
        return 0
    if ("migrations",) not in tables:
        raise StoreError(foreign)
    try:
        found = connection.execute("SELECT max(version) FROM migrations").fetchone()
    except psycopg.errors.UndefinedColumn as error:
        raise StoreError(foreign) from error
    assert found is not None
    if found[0] is None:
        raise StoreError(foreign)
    return int(found[0])


def _known() -> Mapping[int, str]:
    names = (entry.name for entry in resources.files(__package__).joinpath("migrations").iterdir())
    return {int(found[1]): found[0] for found in map(_NAME.fullmatch, names) if found}
