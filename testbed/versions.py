"""Bundles that follow one another in a directory of their own."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from shortlist.bundle import BundleStore

_SECONDS = 30.0


def add_version(root: Path, source: Path, number: int) -> str:
    """Puts a copy of a bundle into a directory of bundles under an id of its own, and returns the id.

    The copy shares the files with its source, but for the manifest: break a copy by replacing a file, not its contents.
    """
    bundle_id = f"20260101T{number:06}-0000"
    directory = root / bundle_id
    directory.mkdir(parents=True)
    for path in source.iterdir():
        os.link(path, directory / path.name)
    edit_manifest(directory, bundle_id=bundle_id)
    return bundle_id


def edit_manifest(directory: Path, **changes: object) -> None:
    """Changes what a bundle says of itself."""
    path = directory / "manifest.json"
    replace_file(path, json.dumps(json.loads(path.read_text()) | changes).encode())


def replace_file(path: Path, content: bytes) -> None:
    """Puts other contents into the place of a file that others may share."""
    new = path.with_name(path.name + ".new")
    new.write_bytes(content)
    new.replace(path)


def publish(root: Path, bundle_id: str) -> None:
    """Makes a version the current one."""
    BundleStore(root).point_to(bundle_id)


def until(condition: Callable[[], bool], seconds: float = _SECONDS) -> None:
    """Waits for a condition; fails when it does not come true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.02)
