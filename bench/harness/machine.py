"""The machine that a figure was measured on."""

import os
import platform
from pathlib import Path


def machine() -> dict[str, object]:
    """The processor, the number of cores that this process may use, memory and system."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": models[0] if models else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
    }
