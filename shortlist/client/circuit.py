"""A circuit breaker: an unreachable stage must not cost every call its timeout."""

import logging
import threading
import time

from prometheus_client import Gauge

_LOG = logging.getLogger(__name__)
_FAILURES = 5
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 5.0


class Circuit:
    """Closed while calls succeed; open after five failures in a row.

    ``stage`` names the stage in the log, and ``is_open`` is 1 while the circuit is open. It stays open for a pause that
    doubles from 0.5 to 5 seconds. After each pause one call is let through, and its outcome closes or reopens the
    circuit. Thread-safe.
    """

    def __init__(self, stage: str, is_open: Gauge) -> None:
        self._stage, self._is_open = stage, is_open
        self._lock = threading.Lock()
        self._failures = 0
        self._pause = _FIRST_PAUSE
        self._opens_at = 0.0

    def allows(self) -> bool:
        """Whether a call may be made; its outcome has to be reported."""
        if self._failures < _FAILURES:
            return True
        with self._lock:
            now = time.monotonic()
            if now < self._opens_at:
                return False
            # This call tries the stage. The others wait for its outcome, or for the next pause to end.
            self._opens_at = now + self._pause
            return True

    def succeeded(self) -> None:
        """Reports that a call was answered."""
        if self._failures:
            with self._lock:
                if self._failures >= _FAILURES:
                    _LOG.warning("%s answers again", self._stage)
                    self._is_open.set(0)
                self._failures, self._pause = 0, _FIRST_PAUSE

    def failed(self) -> None:
        """Reports that a call was not answered, or ended with an error of an unreachable stage."""
        with self._lock:
            self._failures += 1
            if self._failures < _FAILURES:
                return
            if self._failures == _FAILURES:
                _LOG.error("%s failed %d times in a row; trying it again after pauses", self._stage, _FAILURES)
                self._is_open.set(1)
            self._opens_at = time.monotonic() + self._pause
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)
