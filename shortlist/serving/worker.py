"""The role of a server as one of several workers."""

from collections.abc import Callable
from dataclasses import dataclass

SERVING = "serving"
BEAT_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Worker:
    """A server's role as one of several.

    Each worker has a ``number``, from 0. It sends the lines that a single server would print to ``announce``. A worker
    that ``replaces`` another loads before it listens: the others serve, so no connection should wait for it.
    """

    announce: Callable[[str], None]
    replaces: bool
    number: int
