"""The peak memory of this process during a block: private memory, and file pages that the system may drop."""

import threading
from pathlib import Path
from types import TracebackType
from typing import Self

_SECONDS = 0.01
_KINDS = ("RssAnon", "RssFile", "RssShmem")


class MemoryWatch:
    """Samples every 10 ms inside the block. Peaks in MB: ``private`` of RssAnon + RssShmem, ``files`` of RssFile."""

    def __init__(self) -> None:
        self.private = self.files = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(_SECONDS):
            anonymous, files, shared = _resident()
            self.private, self.files = max(self.private, anonymous + shared), max(self.files, files)


def _resident() -> list[float]:
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return [int(lines[kind].split()[0]) / 1024 for kind in _KINDS]
