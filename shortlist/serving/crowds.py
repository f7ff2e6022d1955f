"""The queued calls of each connection: whose turn it is, and which call a full queue refuses first."""

from collections import OrderedDict
from typing import Generic, TypeVar

C = TypeVar("C")


class Crowds(Generic[C]):
    """Queued calls by connection, in the order of their arrival. Not thread-safe.

    Connections take turns, so the calls of one wait for few calls of another (fair queueing: Nagle, RFC 970). A full
    queue gives up calls of the busiest one (longest queue drop: Suter, Lakshman, Stiliadis and Choudhury, INFOCOM
    1998). One connection has the whole queue and all turns while no other needs them.
    """

    def __init__(self) -> None:
        self._calls: OrderedDict[bytes, OrderedDict[C, None]] = OrderedDict()
        self._all: OrderedDict[C, None] = OrderedDict()

    def add(self, connection: bytes, call: C) -> None:
        """The call waits in the queue."""
        self._calls.setdefault(connection, OrderedDict())[call] = None
        self._all[call] = None

    def remove(self, connection: bytes, call: C) -> None:
        """The call waits no longer."""
        crowd = self._calls[connection]
        del crowd[call], self._all[call]
        if not crowd:
            del self._calls[connection]

    def oldest(self) -> C | None:
        """The call that has waited longest; None without any."""
        return next(iter(self._all), None)

    def next(self) -> C | None:
        """The first call of the connection whose turn it is, which has its next turn after all others; None without."""
        if not self._calls:
            return None
        connection, crowd = next(iter(self._calls.items()))
        self._calls.move_to_end(connection)
        return next(iter(crowd))

    def surplus(self, connection: bytes) -> C | None:
        """The latest call of the busiest connection; None unless it has two more than ``connection``."""
        busiest = max(self._calls.values(), key=len, default=OrderedDict[C, None]())
        own = len(self._calls.get(connection, ()))
        return next(reversed(busiest)) if len(busiest) >= own + 2 else None
