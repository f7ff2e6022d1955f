"""The bundle: one immutable version of everything that a training run made."""

from shortlist.bundle.bundle import Bundle
from shortlist.bundle.item_item import ItemItemTables
from shortlist.bundle.manifest import FORMAT_VERSION, IndexInfo, Manifest
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
