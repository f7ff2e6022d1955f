"""A circuit breaker: a stage that is gone must not cost every call its timeout."""

import logging
import threading
import time

from shortlist.observability import metrics

_LOG = logging.getLogger(__name__)
_FAILURES = 5
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 5.0


class Circuit:
    """Closed while calls succeed; open, for a while that grows, after five failures in a row.

    After each such while one call is let through, and decides. Thread-safe.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures = 0
        self._pause = _FIRST_PAUSE
        self._opens_at = 0.0

    def allows(self) -> bool:
        """Whether a call may be made; its outcome has to be told."""
        if self._failures < _FAILURES:
            return True
        with self._lock:
            now = time.monotonic()
            if now < self._opens_at:
                return False
            # This one tries it; until it is back, or should have been, the others do not.
            self._opens_at = now + self._pause
            return True

    def succeeded(self) -> None:
        """A call came back."""
        if self._failures:
            with self._lock:
                if self._failures >= _FAILURES:
                    _LOG.warning("retrieval answers again")
                    metrics.CIRCUIT_OPEN.set(0)
                self._failures, self._pause = 0, _FIRST_PAUSE

    def failed(self) -> None:
        """A call did not, or came back with an error that says that the stage is gone."""
        with self._lock:
            self._failures += 1
            if self._failures < _FAILURES:
                return
            if self._failures == _FAILURES:
                _LOG.error("retrieval failed %d times in a row, it is tried again now and then", _FAILURES)
                metrics.CIRCUIT_OPEN.set(1)
            self._opens_at = time.monotonic() + self._pause
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)
