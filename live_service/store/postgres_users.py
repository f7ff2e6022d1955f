"""The users of a PostgreSQL store: a number for each id."""

import time
from collections.abc import Iterable, Sequence
from typing import Any

import psycopg

from live_service.events import ForgottenUsers
from live_service.store.rows import forgotten_users
from shortlist.user_hash import user_hash

_ADD = """
WITH given AS (SELECT DISTINCT hash, user_id FROM unnest(%(hashes)b::bytea[], %(ids)b::text[]) AS g (hash, user_id)),
known AS (SELECT hash, user_number FROM users JOIN given USING (hash)),
added AS (
  INSERT INTO users (hash, user_id)
  SELECT hash, given.user_id FROM given WHERE NOT EXISTS (SELECT FROM known WHERE known.hash = given.hash)
  RETURNING hash, user_number
)
SELECT hash, user_number FROM known UNION ALL SELECT hash, user_number FROM added
"""
_FORGET = """
INSERT INTO forgotten (hash, position, time) VALUES (%s, %s, %s)
ON CONFLICT (hash) DO UPDATE SET position = excluded.position, time = excluded.time
"""
# One statement, so that nobody is forgotten between the position and the list.
_FORGOTTEN = """
SELECT state.position, f.hash, f.position, f.time FROM state LEFT JOIN
(SELECT * FROM forgotten WHERE position > %s ORDER BY position LIMIT %s) AS f ON true ORDER BY f.position
"""
_DELETE_IDLE = """
DELETE FROM users AS u WHERE u.user_number = ANY(%s)
AND NOT EXISTS (SELECT FROM events AS e WHERE e.user_number = u.user_number)
AND NOT EXISTS (SELECT FROM retracted AS r WHERE r.user_number = u.user_number)
"""


class PostgresUsers:
    """Numbers users, for callers that hold the row of the state. Ids are found by keyed hashes."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def hashes(self, user_ids: Iterable[str]) -> list[bytes]:
        """The hash of each id."""
        return [user_hash(self._key, user_id) for user_id in user_ids]

    def numbers(self, connection: psycopg.Connection[Any], user_ids: Sequence[str]) -> list[int]:
        """The number of each user; new users get the next ones."""
        hashes = self.hashes(user_ids)
        found = dict(connection.execute(_ADD, {"hashes": hashes, "ids": list(user_ids)}).fetchall())
        return [found[one] for one in hashes]

    def forget(self, connection: psycopg.Connection[Any], user_id: str, position: int) -> int | None:
        """Deletes a user, and keeps the hash; the former number, None when nothing is recorded of them."""
        [known] = self.hashes([user_id])
        connection.execute(_FORGET, (known, position, time.time_ns()))
        found = connection.execute("DELETE FROM users WHERE hash = %s RETURNING user_number", (known,)).fetchone()
        return None if found is None else int(found[0])

    def forgotten(self, connection: psycopg.Connection[Any], after: int, limit: int) -> ForgottenUsers:
        """The users who were forgotten after a position."""
        found = connection.execute(_FORGOTTEN, (after, limit)).fetchall()
        rows = [tuple(row) for _, *row in found if row[0] is not None]
        return forgotten_users(rows, hash_key=self._key, limit=limit, position=found[0][0])

    def delete_idle(self, connection: psycopg.Connection[Any], numbers: Sequence[int]) -> None:
        """Deletes those of the users of whom nothing is recorded any more."""
        connection.execute(_DELETE_IDLE, (list(numbers),))
