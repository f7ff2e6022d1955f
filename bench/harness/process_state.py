"""The memory, threads and descriptors of a process."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True, kw_only=True)
class ProcessState:
    """Memory (MB), threads and descriptors of a process; ``time`` is in seconds since 1970."""

    time: float
    anonymous_mb: float
    resident_mb: float
    threads: int
    descriptors: int


def process_state(pid: int) -> ProcessState:
    """The state of a process now.

    Raises:
        FileNotFoundError: the process has ended.
    """
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    return ProcessState(
        time=time.time(),
        anonymous_mb=int(status["RssAnon"].split()[0]) / 1024,
        resident_mb=int(status["VmRSS"].split()[0]) / 1024,
        threads=int(status["Threads"]),
        descriptors=len(os.listdir(f"/proc/{pid}/fd")),
    )


def median_state(states: Sequence[ProcessState]) -> ProcessState:
    """The median of each figure."""
    anonymous, resident, threads, descriptors = (
        float(np.median([getattr(state, kind) for state in states]))
        for kind in ("anonymous_mb", "resident_mb", "threads", "descriptors")
    )
    return ProcessState(
        time=states[-1].time,
        anonymous_mb=anonymous,
        resident_mb=resident,
        threads=round(threads),
        descriptors=round(descriptors),
    )
