"""Starts the services as separate processes, as in production."""

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Self

_START_SECONDS = 60.0
_STOP_SECONDS = 15.0


class ServiceFailed(RuntimeError):  # noqa: N818
    """A service ended, or printed nothing in time, before it served; carries its exit code and its log."""

    def __init__(self, module: str, exit_code: int | None, log: str) -> None:
        super().__init__(f"{module} did not start (exit code {exit_code}):\n{log}")
        self.exit_code, self.log = exit_code, log


@dataclass(kw_only=True)
class Service:
    """A running service; leaving the ``with`` block stops it."""

    module: str
    process: subprocess.Popen[str]
    address: str
    log_path: Path

    @classmethod
    def start(cls, module: str, arguments: Sequence[str], log_path: Path, checkout: Path | None = None) -> Self:
        """Starts ``python -m module`` on a free port of this machine and waits until it serves.

        With a ``checkout``, the code is that of another checkout of the repository.

        Raises:
            ServiceFailed: it ended instead, or printed nothing for a minute.
        """
        command = [sys.executable, "-m", module, "--listen", "127.0.0.1:0", *arguments]
        variables = {**os.environ, "PYTHONPATH": str(checkout)} if checkout else None
        with log_path.open("w") as log:
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=checkout, env=variables
            )
        lines: SimpleQueue[str] = SimpleQueue()
        threading.Thread(target=_read, args=(process, lines), daemon=True).start()
        try:
            listening, serving = lines.get(timeout=_START_SECONDS), lines.get(timeout=_START_SECONDS)
        except Empty:
            listening = serving = ""
        if announced(serving) != "serving":
            exit_code = _end(process)
            raise ServiceFailed(module, exit_code, log_path.read_text())
        address = announced(listening).removeprefix("listening on ")
        return cls(module=module, process=process, address=address, log_path=log_path)

    def stop(self) -> int:
        """Sends SIGTERM and waits; returns the exit code."""
        self.process.terminate()
        return self.process.wait(timeout=_STOP_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        _end(self.process)


def announced(line: str) -> str:
    """The text of a line of stdout, which the production profile writes as JSON."""
    return str(json.loads(line)["message"]) if line.startswith("{") else line.strip()


def descendants(pid: int) -> list[int]:
    """All processes that descend from a process, parents first. One that has ended has none."""
    try:
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [found for child in children for found in (child, *descendants(child))]


def worker_pids(pid: int) -> list[int]:
    """The workers of a service, given the process that was started."""
    # The started process has one child with children: the workers are forked from it.
    return [worker for child in descendants(pid) for worker in descendants(child)]


@dataclass(frozen=True, kw_only=True)
class Running:
    """Both services."""

    retrieval: Service
    ranking: Service


@contextlib.contextmanager
def start_both(
    bundles: Path,
    logs: Path,
    *,
    retrieval: Sequence[str] = (),
    ranking: Sequence[str] = (),
    checkout: Path | None = None,
) -> Iterator[Running]:
    """Both services over a directory of bundles, each with further arguments; leaving the block stops them."""
    arguments = ["--bundles", str(bundles)]
    with Service.start("retrieval_service", [*arguments, *retrieval], logs / "retrieval.log", checkout) as first:
        target = ["--retrieval", f"dns:///{first.address}"]
        with Service.start(
            "ranking_service", [*arguments, *target, *ranking], logs / "ranking.log", checkout
        ) as second:
            yield Running(retrieval=first, ranking=second)


def _read(process: subprocess.Popen[str], lines: SimpleQueue[str]) -> None:
    assert process.stdout is not None
    with process.stdout as output:
        for line in output:
            lines.put(line.rstrip("\n"))
    # Ends the wait of a caller for lines that will not come.
    lines.put("")
    lines.put("")


def _end(process: subprocess.Popen[str]) -> int:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()
