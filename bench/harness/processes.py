"""Processes of a benchmark: talked to by lines, and asked what they cost."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class LineProcess:
    """``python -m module arguments``, which answers each line it is sent with a line."""

    def __init__(self, module: str, *arguments: str) -> None:
        command = [sys.executable, "-m", module, *arguments]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def send(self, line: str) -> None:
        """One line to its stdin."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def line(self) -> str:
        """The next line of its stdout.

        Raises:
            RuntimeError: it has ended.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r} ended with code {self._process.wait()}")
        return line.strip()

    def answer(self) -> Any:  # noqa: ANN401 - whatever JSON it prints
        """The next line, as JSON."""
        return json.loads(self.line())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of processes, all their threads, up to now."""
    return sum(_ticks(pid) for pid in pids) / _TICKS_PER_SECOND


def pin(pids: Iterable[int], cpus: set[int]) -> None:
    """Keeps processes, and all threads they have by now or start later, on some of the cores."""
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), cpus)


def _ticks(pid: int) -> int:
    # The name, in brackets, may hold spaces; utime and stime are the 14th and 15th of all fields.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def write_json(path: Path, value: object) -> None:
    """Writes a result whole, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(value, indent=2) + "\n")
    temporary.replace(path)
