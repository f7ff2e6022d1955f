"""Small hand-made bundles: the tables are real, the models and the index are random bytes."""

import hashlib
from pathlib import Path

import numpy as np

from shortlist.bundle import FORMAT_VERSION, BundleStore, IndexInfo, ItemItemTables, ItemTables, Manifest, UserTables
from shortlist.bundle.bundle import INDEX, ITEM_TABLE, RANKER, USER_ENCODER, save_tables
from shortlist.bundle.item_item_table import ItemItemTable
from shortlist.bundle.manifest import FileDigest
from shortlist.bundle.pointer_history import HISTORY
from shortlist.bundle.ranker_columns import ContextColumn, Objective

OLDEST, OLDER, NEWER, NEWEST = (f"2026010{day}T000000-000{day}" for day in range(1, 5))
_ITEMS, _DIMENSION = 5, 4


def publish(root: Path, *bundle_ids: str, size: int = 1000) -> None:
    """Publishes a bundle for each id; each has models and an index of ``size`` bytes of its own."""
    for bundle_id in bundle_ids:
        with BundleStore(root).publishing(bundle_id) as directory:
            write_files(directory, bundle_id, size)
            manifest_of(directory, bundle_id).write(directory)


def write_files(directory: Path, bundle_id: str, size: int = 1000) -> None:
    """Writes every file of a bundle but the manifest."""
    save_tables(directory, _items(), _users())
    for name in (INDEX, USER_ENCODER, RANKER, ITEM_TABLE):
        (directory / name).write_bytes(_bytes(f"{bundle_id}/{name}", size))


def manifest_of(directory: Path, bundle_id: str) -> Manifest:
    """The manifest of a directory's present files."""
    day = bundle_id[6:8]
    return Manifest(
        format_version=FORMAT_VERSION,
        bundle_id=bundle_id,
        create_time=f"2026-01-{day}T01:00:00+01:00",
        libraries={"numpy": np.__version__},
        dimension=_DIMENSION,
        metric="inner_product",
        item_count=_ITEMS,
        user_count=1,
        item_features=("count",),
        user_features=("known",),
        event_names=("watch",),
        encoder_history=10,
        ranker_history=10,
        value_mean=0.0,
        value_std=1.0,
        objectives=(Objective(name="like", kind="event", weight=1.0, min_weight=0.0, max_weight=4.0),),
        candidate_count=4,
        index=IndexInfo(spec="Flat", parameters="", recall=1.0, recall_at=4, target=0.99, trials=()),
        metrics={"two_stage/hr@10": 0.25, "two_stage/ndcg@10": 0.125, "two_stage/recall@200": float("nan")},
        recipe={"encoder": {"dimension": _DIMENSION}},
        files={path.name: FileDigest.of(path) for path in sorted(directory.iterdir())},
        context=(ContextColumn(name="device", kind="categorical", categories=("phone", "tv"), absent=(0.75, 0.25)),),
    )


def damage(path: Path) -> None:
    """Flips a bit, which leaves the file's size."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def names(root: Path) -> list[str]:
    """The names in a directory of bundles, hidden ones included; without the history of its pointer."""
    return sorted(path.name for path in root.iterdir() if path.name != HISTORY)


def _items() -> ItemTables:
    rows = np.arange(_ITEMS, dtype=np.int32)
    pairs = ItemItemTable(
        offsets=np.arange(_ITEMS + 1, dtype=np.int64), rows=rows, weights=np.ones((_ITEMS, 2), dtype=np.float32)
    )
    vectors = np.eye(_ITEMS, _DIMENSION, dtype=np.float32)
    return ItemTables(
        ids=np.array([f"i{row}" for row in rows], dtype=np.bytes_),
        vectors=vectors,
        inputs=vectors,
        features=np.zeros((_ITEMS, 1), dtype=np.float32),
        popular=rows,
        item_item=ItemItemTables(cooccurrence=pairs, slim=pairs),
        value_mean=0.0,
        value_std=1.0,
        unseen=np.zeros(1, dtype=np.float32),
    )


def _users() -> UserTables:
    return UserTables(
        ids=np.array(["u"], dtype=np.bytes_),
        features=np.ones((1, 1), dtype=np.float32),
        offsets=np.array([0, 1], dtype=np.int64),
        rows=np.zeros(1, dtype=np.int32),
        values=np.full(1, np.nan, dtype=np.float32),
        events=np.zeros(1, dtype=np.uint8),
    )


def _bytes(name: str, size: int) -> bytes:
    return hashlib.shake_128(name.encode()).digest(size)
