"""Keyed hashes of user ids: a list or an index of them finds a user and holds no id."""

import hashlib

HASH_BYTES = 16


def user_hash(key: bytes, user_id: str) -> bytes:
    """The hash of a user id under the own key of a store of events."""
    return hashlib.blake2b(user_id.encode(), key=key, digest_size=HASH_BYTES).digest()
