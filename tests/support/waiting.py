"""Waits for another process."""

import time
from collections.abc import Callable

_SECONDS = 30.0


def until(condition: Callable[[], bool], seconds: float = _SECONDS) -> None:
    """Waits for a condition; fails when it stays false."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition stayed false"
        time.sleep(0.02)
