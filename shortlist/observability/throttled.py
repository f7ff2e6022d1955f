"""Log lines of events that any call may cause. It needs no library, unlike the lines' form."""

import logging
import threading
import time

_PAUSE_SECONDS = 1.0


class Throttled:
    """A logger for events that any call may cause: at most one line a second for each message. Thread-safe.

    The next line counts the suppressed ones.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._lock = threading.Lock()
        # Message without its arguments → the time of its next line, and the number of suppressed lines.
        self._messages: dict[str, tuple[float, int]] = {}

    def warning(self, message: str, *arguments: object, exc_info: bool = False) -> None:
        """See :meth:`logging.Logger.warning`."""
        self._log(logging.WARNING, message, arguments, exc_info)

    def error(self, message: str, *arguments: object, exc_info: bool = False) -> None:
        """See :meth:`logging.Logger.error`."""
        self._log(logging.ERROR, message, arguments, exc_info)

    def _log(self, level: int, message: str, arguments: tuple[object, ...], exc_info: bool) -> None:
        now = time.monotonic()
        with self._lock:
            due, suppressed = self._messages.get(message, (now, 0))
            if now < due:
                self._messages[message] = (due, suppressed + 1)
                return
            self._messages[message] = (now + _PAUSE_SECONDS, 0)
        if suppressed:
            message, arguments = f"{message} (and %d more times since)", (*arguments, suppressed)
        self._logger.log(level, message, *arguments, exc_info=exc_info, stacklevel=3)
