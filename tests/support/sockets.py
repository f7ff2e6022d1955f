"""Watches other processes for sockets that lead out of this machine."""

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from ipaddress import IPv6Address, ip_address
from pathlib import Path

from testbed.services import descendants

_PAUSE_SECONDS = 0.002
_TABLES = ("tcp", "tcp6", "udp", "udp6")


@contextlib.contextmanager
def watching(pids: Sequence[int]) -> Iterator[set[str]]:
    """Looks at the processes and their descendants several hundred times a second, until the end of the block.

    Gives a set that gains a line for each socket of UDP, and for each of TCP with an end other than the loopback. A
    socket that lives for less than some milliseconds may be missed.
    """
    found: set[str] = set()
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(_PAUSE_SECONDS):
            for pid in pids:
                # A process may end between two looks.
                with contextlib.suppress(OSError):
                    for one in (pid, *descendants(pid)):
                        found.update(_leading_out(one))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()


def _leading_out(pid: int) -> Iterator[str]:
    inodes = _inodes(pid)
    for table in _TABLES:
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[9] in inodes and (table.startswith("udp") or not all(map(_is_loopback, fields[1:3]))):
                yield f"process {pid}: {table} {fields[1]} → {fields[2]}"


def _inodes(pid: int) -> set[str]:
    links: set[str] = set()
    for entry in os.scandir(f"/proc/{pid}/fd"):
        # A descriptor may be closed between two looks.
        with contextlib.suppress(FileNotFoundError):
            links.add(os.readlink(entry.path))
    return {link[len("socket:[") : -1] for link in links if link.startswith("socket:[")}


def _is_loopback(end: str) -> bool:
    """Whether an end such as ``0100007F:C350`` is on the loopback, or is the other end of a listening socket."""
    text, port = end.split(":")
    # Each word of four bytes is in the order of the machine.
    words = (bytes.fromhex(text[place : place + 8])[::-1] for place in range(0, len(text), 8))
    address = ip_address(b"".join(words))
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.is_loopback or (address.is_unspecified and port == "0000")
