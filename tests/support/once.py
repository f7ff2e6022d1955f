"""Expensive files, made once in a run and shared by its workers."""

import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from filelock import FileLock


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Returns the folder ``name`` of this run: the first worker that asks fills it with ``make``, the others wait."""
    base = factory.getbasetemp()
    root = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = root / name
    with FileLock(root / f"{name}.lock"):
        if not folder.exists():
            # It gets its name when it is complete, so that a failure leaves nothing that looks finished.
            with TemporaryDirectory(dir=root) as outer:
                unfinished = Path(outer) / name
                unfinished.mkdir()
                make(unfinished)
                unfinished.rename(folder)
    return folder
