"""CPU time and end of a server that consists of many processes."""

import os
import signal
from pathlib import Path

from bench.harness.processes import cpu_seconds

_PARENT, _START = 1, 19
# A process id and its start time, because the ids of ended processes are used again.
Process = tuple[int, int]


def tree_of(pid: int) -> list[Process]:
    """A process and all its descendants."""
    fields = {int(entry.name): _fields(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    children: dict[int, list[int]] = {}
    for child, of_child in fields.items():
        if of_child:
            children.setdefault(int(of_child[_PARENT]), []).append(child)
    found, waiting = list[Process](), [pid]
    while waiting:
        current = waiting.pop()
        waiting += children.get(current, [])
        if of_current := fields.get(current):
            found.append((current, int(of_current[_START])))
    return found


def cpu_of_tree(pid: int) -> float:
    """Seconds of CPU time of all living processes of the tree."""
    spent = 0.0
    for process, _ in tree_of(pid):
        try:
            spent += cpu_seconds([process])
        except OSError:
            continue
    return spent


def kill_those_left(processes: list[Process]) -> None:
    """Kills the processes that outlived their parent."""
    for pid, start in processes:
        fields = _fields(pid)
        if fields and int(fields[_START]) == start:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


def _fields(pid: int) -> list[str]:
    """The fields after the name in ``/proc/PID/stat``; empty when the process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
