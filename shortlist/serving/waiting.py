"""Calls that wait for their callers: for a message, or for an answer to be read. Nobody may wait for ever."""

import threading
import time
from collections import Counter, OrderedDict
from typing import Any, Generic, Protocol, TypeVar

from shortlist.observability import metrics

# A burst of honest calls is far below the number; their messages come with their headers.
WAIT_SECONDS, MOST_WAITING = 1.0, 1000
_CHECK_SECONDS = 0.1
# On a busy machine, gRPC's serving thread learns late that a caller has sent or read something. It is late for every
# call, so one that has waited much longer than others is slow by itself. Calls that end sooner count more: a slow
# caller must not lengthen the patience with itself.
_TIMES_USUAL, _MOST_TIMES = 8.0, 10.0
_FALL, _RISE = 0.5, 0.1
# Answers that no caller has read yet, in the process and of one connection. Small ones are bounded by their number.
PROCESS_BYTES, CONNECTION_BYTES = 64 * 1024 * 1024, 16 * 1024 * 1024
_SMALL_BYTES = 16 * 1024


class Cancellable(Protocol):
    """A call."""

    def cancel(self) -> object:
        """Ends the call."""


class Sent(Cancellable, Protocol):
    """A call whose answer is on its way."""

    @property
    def size(self) -> int:
        """The bytes of the answer."""

    @property
    def connection(self) -> bytes:
        """Tells the connection of the call from others."""


C = TypeVar("C", bound=Cancellable)


class Waiting(Generic[C]):
    """At most ``most`` calls, those that have waited the longest first. Thread-safe.

    A call beyond ``most`` cancels the first. ``where`` is the label of the cancelled calls' counter. While calls
    usually wait long, because the process is busy, ``seconds`` count up to tenfold.
    """

    def __init__(self, where: str, most: int, seconds: float = WAIT_SECONDS) -> None:
        self._where, self._most, self._seconds = where, most, seconds
        self._since: OrderedDict[C, float] = OrderedDict()
        self._usual = 0.0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._since)

    def add(self, call: C) -> None:
        """From now on, the call waits for its caller."""
        surplus = None
        with self._lock:
            if len(self._since) >= self._most:
                surplus = self._oldest(0.0)
                assert surplus is not None
                self._forget(surplus)
            self._since[call] = time.monotonic()
        if surplus is not None:
            self._cancel(surplus)

    def remove(self, call: C) -> bool:
        """The call waits no longer; False when it has been cancelled."""
        with self._lock:
            since = self._since.get(call)
            if since is None:
                return False
            self._forget(call)
            longer = time.monotonic() - since - self._usual
            self._usual += longer * (_RISE if longer > 0 else _FALL)
            return True

    def has_waited(self, seconds: float) -> bool:
        """Whether a call has waited for so long."""
        with self._lock:
            return self._oldest(seconds) is not None

    def cancel_one(self, seconds: float) -> bool:
        """Cancels the call that has waited the longest, if it has for so long."""
        with self._lock:
            oldest = self._oldest(seconds)
            if oldest is None:
                return False
            self._forget(oldest)
        self._cancel(oldest)
        return True

    def expire(self) -> None:
        """Cancels the calls whose time is over."""
        while self.cancel_one(self._seconds):
            pass

    def _forget(self, call: C) -> None:
        del self._since[call]

    def _oldest(self, seconds: float) -> C | None:
        for call, since in self._since.items():
            late = max(seconds, min(self._usual * _TIMES_USUAL, seconds * _MOST_TIMES))
            return call if time.monotonic() - since >= late else None
        return None

    def _cancel(self, call: C) -> None:
        metrics.CANCELLED[self._where].inc()
        call.cancel()


class Unread(Waiting[Sent]):
    """Calls whose answers have not been sent yet. Beyond a number of bytes, the first are cancelled."""

    def __init__(self, most: int) -> None:
        super().__init__("answer", most)
        self._connections: dict[Sent, bytes] = {}
        self._bytes: Counter[bytes] = Counter()

    def add(self, call: Sent) -> None:
        """From now on, the call waits for its caller to read the answer."""
        super().add(call)
        if call.size >= _SMALL_BYTES:
            for surplus in self._surplus(call):
                self._cancel(surplus)

    def _surplus(self, call: Sent) -> list[Sent]:
        connection, surplus = call.connection, []
        with self._lock:
            if call not in self._since:
                return []
            self._connections[call] = connection
            self._bytes[connection] += call.size
            while self._bytes[connection] > CONNECTION_BYTES:
                surplus.append(next(one for one, its in self._connections.items() if its == connection))
                self._forget(surplus[-1])
            while self._bytes.total() > PROCESS_BYTES:
                surplus.append(next(iter(self._connections)))
                self._forget(surplus[-1])
        return surplus

    def _forget(self, call: Sent) -> None:
        super()._forget(call)
        connection = self._connections.pop(call, None)
        if connection is not None:
            self._bytes[connection] -= call.size
            if not self._bytes[connection]:
                del self._bytes[connection]


def expire_in_background(*waiting: Waiting[Any]) -> None:
    """Starts a thread that cancels the calls whose time is over.

    Raises:
        RuntimeError: the system gives no more threads.
    """

    def expire() -> None:
        while True:
            time.sleep(_CHECK_SECONDS)
            for each in waiting:
                each.expire()

    threading.Thread(target=expire, name="waiting", daemon=True).start()
