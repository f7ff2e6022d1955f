"""The users of a SQLite store: a number for each id, and nothing of the id once it is forgotten."""

import sqlite3
from collections.abc import Iterable, Sequence

from live_service.store.user_hash import HASH_BYTES, user_hash

_OVERWRITE = f"""
UPDATE users SET hash = randomblob({HASH_BYTES}),
user_id = substr(replace(hex(zeroblob(256)), '0', '-'), 1, length(CAST(user_id AS BLOB)))
"""  # noqa: S608
_IDLE = """
WHERE user = ? AND NOT EXISTS (SELECT 1 FROM events WHERE events.user = users.user)
AND NOT EXISTS (SELECT 1 FROM retracted WHERE retracted.user = users.user)
"""


class SqliteUsers:
    """Numbers users. Ids are found by keyed hashes, so that no index holds them."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._key: bytes = connection.execute("SELECT hash_key FROM state").fetchone()[0]

    def number_of(self, connection: sqlite3.Connection, user_id: str) -> int | None:
        """The number of a user; None when nothing is recorded of them."""
        found = connection.execute("SELECT user FROM users WHERE hash = ?", (self._hash(user_id),)).fetchone()
        return None if found is None else int(found[0])

    def numbers(self, connection: sqlite3.Connection, user_ids: Sequence[str]) -> list[int]:
        """The number of each user; new users get the next ones."""
        numbers: dict[str, int] = {}
        for user_id in user_ids:
            if user_id not in numbers:
                number = self.number_of(connection, user_id)
                numbers[user_id] = self._add(connection, user_id) if number is None else number
        return [numbers[user_id] for user_id in user_ids]

    def overwrite(self, connection: sqlite3.Connection, user_id: str) -> None:
        """Replaces the id and its hash by as many other bytes, which SQLite writes in their place."""
        connection.execute(f"{_OVERWRITE} WHERE hash = ?", (self._hash(user_id),))

    def overwrite_idle(self, connection: sqlite3.Connection, numbers: Iterable[int]) -> None:
        """Does the same for those of the users of whom nothing is recorded any more."""
        connection.executemany(f"{_OVERWRITE} {_IDLE}", [(number,) for number in numbers])

    def _add(self, connection: sqlite3.Connection, user_id: str) -> int:
        new = connection.execute("INSERT INTO users (hash, user_id) VALUES (?, ?)", (self._hash(user_id), user_id))
        assert new.lastrowid is not None
        return new.lastrowid

    def _hash(self, user_id: str) -> bytes:
        return user_hash(self._key, user_id)
