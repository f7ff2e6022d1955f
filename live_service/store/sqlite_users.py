"""The users of a SQLite store: a number for each id, and nothing of the id once it is forgotten."""

import sqlite3
import time
from collections.abc import Iterable, Sequence

from live_service.events import ForgottenUsers
from live_service.store.rows import forgotten_users
from shortlist.user_hash import HASH_BYTES, user_hash

_OVERWRITE = f"""
UPDATE users SET hash = randomblob({HASH_BYTES}),
user_id = substr(replace(hex(zeroblob(256)), '0', '-'), 1, length(CAST(user_id AS BLOB)))
"""  # noqa: S608
_IDLE = """
WHERE user = ? AND NOT EXISTS (SELECT 1 FROM events WHERE events.user = users.user)
AND NOT EXISTS (SELECT 1 FROM retracted WHERE retracted.user = users.user)
"""
_FOUND = "SELECT (SELECT user FROM users WHERE hash = ?1), (SELECT position FROM forgotten WHERE hash = ?1)"
_FORGET = """
INSERT INTO forgotten (hash, position, time) VALUES (?, ?, ?)
ON CONFLICT (hash) DO UPDATE SET position = excluded.position, time = excluded.time
"""
_FORGOTTEN = "SELECT hash, position, time FROM forgotten WHERE position > ? ORDER BY position LIMIT ?"


class SqliteUsers:
    """Numbers users. Ids are found by keyed hashes, so that no index holds them."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._key: bytes = connection.execute("SELECT hash_key FROM state").fetchone()[0]

    def number_of(self, connection: sqlite3.Connection, user_id: str) -> int | None:
        """The number of a user; None when nothing is recorded of them."""
        found = connection.execute("SELECT user FROM users WHERE hash = ?", (self._hash(user_id),)).fetchone()
        return None if found is None else int(found[0])

    def found(self, connection: sqlite3.Connection, user_id: str) -> tuple[int | None, int]:
        """The number of a user as in :meth:`number_of`, and the position at which they were forgotten, 0 for never."""
        number, forgotten = connection.execute(_FOUND, (self._hash(user_id),)).fetchone()
        return number, forgotten or 0

    def numbers(self, connection: sqlite3.Connection, user_ids: Sequence[str]) -> list[int]:
        """The number of each user; new users get the next ones."""
        numbers: dict[str, int] = {}
        for user_id in user_ids:
            if user_id not in numbers:
                number = self.number_of(connection, user_id)
                numbers[user_id] = self._add(connection, user_id) if number is None else number
        return [numbers[user_id] for user_id in user_ids]

    def forget(self, connection: sqlite3.Connection, user_id: str, position: int) -> None:
        """Replaces the id and its hash by as many other bytes, which SQLite writes in their place; keeps the hash."""
        known = self._hash(user_id)
        connection.execute(f"{_OVERWRITE} WHERE hash = ?", (known,))
        connection.execute(_FORGET, (known, position, time.time_ns()))

    def forgotten(self, connection: sqlite3.Connection, after: int, limit: int, position: int) -> ForgottenUsers:
        """The users who were forgotten after a position; ``position`` is that of the store."""
        rows = connection.execute(_FORGOTTEN, (after, limit))
        return forgotten_users(rows, hash_key=self._key, limit=limit, position=position)

    def overwrite_idle(self, connection: sqlite3.Connection, numbers: Iterable[int]) -> None:
        """Replaces the ids and hashes of those of the users of whom nothing is recorded any more."""
        connection.executemany(f"{_OVERWRITE} {_IDLE}", [(number,) for number in numbers])

    def _add(self, connection: sqlite3.Connection, user_id: str) -> int:
        new = connection.execute("INSERT INTO users (hash, user_id) VALUES (?, ?)", (self._hash(user_id), user_id))
        assert new.lastrowid is not None
        return new.lastrowid

    def _hash(self, user_id: str) -> bytes:
        return user_hash(self._key, user_id)
