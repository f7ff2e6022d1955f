"""Pulls a directory's current bundle into another, over and over, as often as it is killed."""

import sys
from pathlib import Path

from shortlist.bundle import Bundle
from shortlist.bundle.puller import Puller
from shortlist.bundle.store import BundleStore


class _Silent:
    def begin(self, what: str, size: int) -> None: ...

    def advance(self, size: int) -> None: ...


print("started", flush=True)
while True:
    Puller(sys.argv[1], BundleStore(Path(sys.argv[2])), _Silent(), keep=2, check=Bundle.open).pull()
