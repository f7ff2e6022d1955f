"""Bundles that still hold forgotten users."""

from dataclasses import dataclass

import numpy as np

from shortlist.bundle.array_files import expected_arrays, map_array
from shortlist.bundle.manifest import Manifest
from shortlist.bundle.store import BundleStore
from shortlist.errors import BundleError
from shortlist.forgotten_list import ForgottenList

_CHUNK = 100_000


@dataclass(frozen=True, kw_only=True)
class Holding:
    """A bundle and how many forgotten users it holds; ``problem`` says why that is unknown."""

    bundle_id: str
    users: int = 0
    problem: str = ""


def holding(store: BundleStore, forgotten: ForgottenList) -> list[Holding]:
    """The bundles that hold users of the list, or may hold them because they cannot be read; newest first."""
    found = [_holding(store, bundle_id, forgotten) for bundle_id in store.ids()]
    return [one for one in found if one.users or one.problem]


def _holding(store: BundleStore, bundle_id: str, forgotten: ForgottenList) -> Holding:
    directory = store.root / bundle_id
    try:
        manifest = Manifest.read(directory)
        ids = map_array(directory / "user_ids.npy", expected_arrays(manifest)["user_ids"])
    except BundleError as error:
        return Holding(bundle_id=bundle_id, problem=str(error))
    count = 0
    for start in range(0, len(ids), _CHUNK):
        part = np.asarray(ids[start : start + _CHUNK]).tolist()
        known = (user_id.decode(errors="replace") for user_id in part)
        count += len(forgotten.among(known, manifest.forgets_until))
    return Holding(bundle_id=bundle_id, users=count)
