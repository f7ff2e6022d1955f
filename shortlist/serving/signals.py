"""The signals that stop a service."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def stop_signals(handler: Callable[[int, FrameType | None], None], *, in_worker: bool = False) -> Iterator[None]:
    """Lets ``handler`` handle SIGTERM, SIGINT and SIGHUP while the block runs, in the main thread."""
    # A worker's parent passes a terminal's Ctrl-C on as SIGTERM.
    numbers = [signal.SIGTERM] if in_worker else [signal.SIGTERM, signal.SIGINT]
    # `nohup` ignores it, and so does the parent of workers in their place.
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    former = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, former_handler in former.items():
            signal.signal(number, former_handler)
