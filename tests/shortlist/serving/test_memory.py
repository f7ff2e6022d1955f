"""The settings of the memory allocator work with glibc, and do nothing without it."""

import ctypes
import subprocess
import sys

import pytest

from shortlist.serving import memory

_GLIBC = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="glibc's allocator alone has these")
_ARENAS = """
import ctypes, sys, threading
from shortlist.serving.memory import use_few_arenas
if sys.argv[1:] == ["few"]:
    use_few_arenas()
libc, meeting = ctypes.CDLL(None), threading.Barrier(12)
def allocate():
    meeting.wait()
    libc.malloc(1000)
    meeting.wait()
threads = [threading.Thread(target=allocate) for _ in range(12)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc.fdopen.restype = ctypes.c_void_p
libc.malloc_info(0, ctypes.c_void_p(libc.fdopen(1, b"w")))
libc.fflush(None)
"""
_FREED = """
import ctypes, re
from pathlib import Path
from shortlist.serving.memory import give_back_freed
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
def own():
    return int(re.search(r"RssAnon:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024
# Smaller than what glibc maps by itself. The last one keeps the others from the end of the heap.
blocks = [libc.malloc(60_000) for _ in range(1000)]
for block in blocks:
    ctypes.memset(block, 1, 60_000)
for block in blocks[:-1]:
    libc.free(block)
freed = own()
give_back_freed()
print(freed - own())
"""


@_GLIBC
def test_threads_share_two_arenas() -> None:
    """Proves that a dozen threads have no more than two, and would have more without the setting."""
    assert _printed(_ARENAS, "few").count("<heap nr=") == 2
    assert _printed(_ARENAS).count("<heap nr=") > 2


@_GLIBC
def test_freed_memory_goes_back_to_the_system() -> None:
    """Proves that of 60 MB that lie freed in the midst of a heap, most are the system's again."""
    assert int(_printed(_FREED)) > 40


def test_other_systems_go_on_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves that a C library without these functions is no error."""
    monkeypatch.setattr(memory, "_LIBC", object())
    memory.use_few_arenas()
    memory.give_back_freed()


def _printed(script: str, *arguments: str) -> str:
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
