"""The queued calls of each connection, so that a full queue can refuse those of the busiest one first."""

from typing import Generic, TypeVar

C = TypeVar("C")


class Crowds(Generic[C]):
    """Queued calls by connection, in the order of their arrival. Not thread-safe.

    Source of the rule: longest queue drop (Suter, Lakshman, Stiliadis and Choudhury, INFOCOM 1998). It leaves one
    connection the whole queue while no other needs a place.
    """

    def __init__(self) -> None:
        self._calls: dict[bytes, dict[C, None]] = {}

    def add(self, connection: bytes, call: C) -> None:
        """The call waits in the queue."""
        self._calls.setdefault(connection, {})[call] = None

    def remove(self, connection: bytes, call: C) -> None:
        """The call waits no longer."""
        crowd = self._calls[connection]
        del crowd[call]
        if not crowd:
            del self._calls[connection]

    def surplus(self, connection: bytes) -> C | None:
        """The latest call of the busiest connection; None unless it has two more than ``connection``."""
        busiest = max(self._calls.values(), key=len, default={})
        own = len(self._calls.get(connection, ()))
        return next(reversed(busiest)) if len(busiest) >= own + 2 else None
