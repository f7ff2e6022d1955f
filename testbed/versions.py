"""Successive bundle versions in a directory, made from one bundle."""

import json
import os
from pathlib import Path

from shortlist.bundle import BundleStore


def add_version(root: Path, source: Path, number: int) -> str:
    """Copies a bundle into a directory of bundles under a new id, and returns the id.

    The copy shares all files but the manifest with its source. Damage a copy with ``replace_file``, never in place.
    """
    bundle_id = f"20260101T{number:06}-0000"
    directory = root / bundle_id
    directory.mkdir(parents=True)
    for path in source.iterdir():
        os.link(path, directory / path.name)
    edit_manifest(directory, bundle_id=bundle_id)
    return bundle_id


def edit_manifest(directory: Path, **changes: object) -> None:
    """Changes fields of a bundle's manifest."""
    path = directory / "manifest.json"
    replace_file(path, json.dumps(json.loads(path.read_text()) | changes).encode())


def replace_file(path: Path, content: bytes) -> None:
    """Replaces a file by another one with this content; hard links to the old file keep theirs."""
    new = path.with_name(path.name + ".new")
    new.write_bytes(content)
    new.replace(path)


def publish(root: Path, bundle_id: str) -> None:
    """Makes a version the current one."""
    BundleStore(root).point_to(bundle_id)
