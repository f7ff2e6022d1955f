"""Publishes a bundle and ends itself, as SIGKILL would, before its n-th call that touches the disk's state."""

import fcntl
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shortlist.bundle.store import BundleStore

_left = int(sys.argv[3])


def _counted(call: Callable[..., Any]) -> Callable[..., Any]:
    def counted(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401
        global _left
        if _left == 0:
            os._exit(9)
        _left -= 1
        return call(*arguments, **named)

    return counted


for module, name in (
    (os, "fsync"),
    (fcntl, "flock"),
    *((Path, method) for method in ("rename", "replace", "write_text", "mkdir", "unlink")),
):
    setattr(module, name, _counted(getattr(module, name)))
with BundleStore(Path(sys.argv[1])).publishing(sys.argv[2]) as directory:
    (directory / "file").write_text(sys.argv[2])
