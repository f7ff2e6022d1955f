"""The file of forgotten users, by keyed hashes: a trainer leaves them out, and bundles that hold them are found."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from shortlist.errors import ShortlistError
from shortlist.user_hash import user_hash


@dataclass(frozen=True, kw_only=True)
class Forgetting:
    """When a user was last forgotten: the position of the live service, and nanoseconds since 1970."""

    position: int
    time: int


@dataclass(frozen=True, kw_only=True)
class ForgottenList:
    """Forgotten ``users`` by the keyed hashes of their ids; it is complete up to ``position``."""

    position: int
    hash_key: bytes
    users: Mapping[bytes, Forgetting]

    @classmethod
    def read(cls, path: Path) -> Self:
        """The list that :meth:`write` wrote.

        Raises:
            ShortlistError: the file cannot be read, or is no such list.
        """
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            users = {bytes.fromhex(known): Forgetting(position=place, time=time) for known, place, time in raw["users"]}
            return cls(position=int(raw["position"]), hash_key=bytes.fromhex(raw["hash_key"]), users=users)
        except OSError as error:
            raise ShortlistError(f"{path}: cannot be read: {error.strerror}") from error
        except (ValueError, TypeError, KeyError) as error:
            reason = "is no list of forgotten users; make one with `shortlist events forgotten`"
            raise ShortlistError(f"{path}: {reason}") from error

    def write(self, path: Path) -> None:
        """Writes the list, readable by its owner alone: with the key, anybody can tell whether an id is in it.

        Raises:
            OSError: it cannot be written.
        """
        users = [[known.hex(), one.position, one.time] for known, one in self.users.items()]
        content = {"position": self.position, "hash_key": self.hash_key.hex(), "users": users}
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file)

    def among(self, user_ids: Iterable[str], after: int = 0) -> dict[str, Forgetting]:
        """The users who were forgotten after a position, among these."""
        found = ((user_id, self.users.get(user_hash(self.hash_key, user_id))) for user_id in user_ids)
        return {user_id: one for user_id, one in found if one is not None and one.position > after}
