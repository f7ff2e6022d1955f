"""Reads the files of a directory of bundles that hold the id of one."""

from pathlib import Path

from shortlist.bundle.bundle_id import is_bundle_id
from shortlist.bundle.regular_files import read_at_most
from shortlist.errors import BundleError

_MAX_POINTER_BYTES = 2**12


def read_pointer(path: Path) -> str:
    """The bundle id in a pointer.

    Raises:
        FileNotFoundError: there is no such file.
        BundleError: it cannot be read, or holds no bundle id.
    """
    try:
        bundle_id = read_at_most(path, _MAX_POINTER_BYTES).decode().strip()
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise BundleError(path, f"cannot be read: {error}", "unreadable") from error
    if not is_bundle_id(bundle_id):
        raise BundleError(path, f"says {bundle_id[:80]!r}, which is not a bundle id")
    return bundle_id
