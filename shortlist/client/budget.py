"""A budget of further calls, so that a service that is slow from overload is not flooded."""

import threading
import time

_EARNED = 0.1


class Budget:
    """Each call earns a tenth of a further call, and each second ``per_second`` more. Thread-safe.

    At first there are ``saved``, and never more than ``most``.
    """

    def __init__(self, *, most: float, saved: float | None = None, per_second: float = 0.0) -> None:
        self._most, self._per_second = most, per_second
        self._saved = most if saved is None else saved
        self._counted_at = time.monotonic()
        self._lock = threading.Lock()

    @property
    def is_left(self) -> bool:
        """Whether a further call is in the budget."""
        return self._saved >= 1

    def earn(self) -> None:
        """Counts a call."""
        now = time.monotonic()
        with self._lock:
            earned = _EARNED + (now - self._counted_at) * self._per_second
            self._saved, self._counted_at = min(self._saved + earned, self._most), now

    def spend(self) -> bool:
        """Takes a further call out of the budget, if there is one."""
        with self._lock:
            if self._saved < 1:
                return False
            self._saved -= 1
            return True
