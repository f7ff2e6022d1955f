"""The bundle: one immutable version of all artefacts of a training run."""

from shortlist.bundle.bundle import Bundle
from shortlist.bundle.index_info import IndexInfo
from shortlist.bundle.item_item import ItemItemTables
from shortlist.bundle.manifest import FORMAT_VERSION, Manifest
from shortlist.bundle.store import BundleStore
from shortlist.bundle.tables import ItemTables, UserTables

__all__ = [
    "FORMAT_VERSION",
    "Bundle",
    "BundleStore",
    "IndexInfo",
    "ItemItemTables",
    "ItemTables",
    "Manifest",
    "UserTables",
]
