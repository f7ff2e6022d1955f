"""An open bundle: verified, memory-mapped, shared by every thread of a service."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from shortlist.bundle.item_item import PAIR_WEIGHTS, ItemItemTables
from shortlist.bundle.item_item_table import ItemItemTable
from shortlist.bundle.manifest import Manifest
from shortlist.bundle.tables import ItemTables, UserTables
from shortlist.errors import BundleError

USER_ENCODER = "user_encoder.onnx"
RANKER = "ranker.onnx"
INDEX = "index.faiss"
ITEM_TABLE = "items.parquet"
ITEM_INPUTS = "item_inputs"
# The beginnings of the file names of the item-item tables.
COOCCURRENCE_FILES, SLIM_FILES = "cooccurrence", "slim"
_CHECKED_ROWS = 2**16


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """One version of all artefacts of a training run. Each service opens the models and the index that it runs."""

    directory: Path
    manifest: Manifest
    items: ItemTables
    users: UserTables

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Verifies every file against the manifest, then maps the tables into memory.

        Raises:
            BundleError: a file is missing or changed, or does not match the manifest.
        """
        manifest = Manifest.read(directory)
        manifest.verify(directory)
        if manifest.bundle_id != directory.name:
            # Callers ask for the directory's name and are answered with the manifest's id.
            raise BundleError(directory, f"holds bundle {manifest.bundle_id}, not the bundle of that name")
        bundle = cls(
            directory=directory,
            manifest=manifest,
            items=_open_items(directory, manifest),
            users=_open_users(directory),
        )
        bundle._check_shapes()
        _require_finite(directory / "item_vectors.npy", bundle.items.vectors)
        if bundle.items.inputs is not bundle.items.vectors:
            _require_finite(directory / f"{ITEM_INPUTS}.npy", bundle.items.inputs)
        _require_finite(directory / "item_features.npy", bundle.items.features)
        _require_finite(directory / "user_features.npy", bundle.users.features)
        return bundle

    @property
    def bundle_id(self) -> str:
        """The version's id, which every answer carries."""
        return self.manifest.bundle_id

    @property
    def most_popular(self) -> str:
        """The id of the most popular item. Warm-up queries use it, for every model has learnt about it."""
        return self.items.id_of(int(self.items.popular[0]))

    @property
    def create_time(self) -> datetime:
        """When the trainer made the bundle, in UTC."""
        return datetime.fromisoformat(self.manifest.create_time).astimezone(UTC)

    def _check_shapes(self) -> None:
        manifest, items, users = self.manifest, self.items, self.users
        expected = {
            "item_ids.npy": (items.ids.shape, (manifest.item_count,)),
            "item_vectors.npy": (items.vectors.shape, (manifest.item_count, manifest.dimension)),
            f"{ITEM_INPUTS}.npy": (items.inputs.shape[:-1], (manifest.item_count,)),
            "item_features.npy": (items.features.shape, (manifest.item_count, len(manifest.item_features))),
            "popular_rows.npy": (items.popular.shape, (manifest.item_count,)),
            "user_ids.npy": (users.ids.shape, (manifest.user_count,)),
            "user_features.npy": (users.features.shape, (manifest.user_count, len(manifest.user_features))),
            "history_offsets.npy": (users.offsets.shape, (manifest.user_count + 1,)),
        }
        for name, pairs in ((COOCCURRENCE_FILES, items.item_item.cooccurrence), (SLIM_FILES, items.item_item.slim)):
            expected[f"{name}_offsets.npy"] = (pairs.offsets.shape, (manifest.item_count + 1,))
            expected[f"{name}_weights.npy"] = (pairs.weights.shape, (len(pairs.rows), PAIR_WEIGHTS))
        for name, (found, wanted) in expected.items():
            if found != wanted:
                raise BundleError(self.directory / name, f"has shape {found}, the manifest says {wanted}")


def _require_finite(path: Path, array: NDArray[np.float32]) -> None:
    # Block by block: a mask of the whole array would take a quarter of the memory of the largest table.
    for start in range(0, len(array), _CHECKED_ROWS):
        if not np.isfinite(array[start : start + _CHECKED_ROWS]).all():
            raise BundleError(path, "has a number that is not finite")


def save_array(directory: Path, name: str, array: NDArray[Any]) -> None:
    """Writes one array of a bundle that is not published yet."""
    np.save(directory / f"{name}.npy", np.ascontiguousarray(array), allow_pickle=False)


def save_tables(directory: Path, items: ItemTables, users: UserTables) -> None:
    """Writes the tables that :meth:`Bundle.open` reads."""
    save_array(directory, "item_ids", items.ids)
    save_array(directory, "item_vectors", items.vectors)
    if items.inputs is not items.vectors:
        save_array(directory, ITEM_INPUTS, items.inputs)
    save_array(directory, "item_features", items.features)
    save_array(directory, "popular_rows", items.popular)
    _save_pairs(directory, COOCCURRENCE_FILES, items.item_item.cooccurrence)
    _save_pairs(directory, SLIM_FILES, items.item_item.slim)
    save_array(directory, "user_ids", users.ids)
    save_array(directory, "user_features", users.features)
    save_array(directory, "history_offsets", users.offsets)
    save_array(directory, "history_rows", users.rows)
    save_array(directory, "history_values", users.values)
    save_array(directory, "history_events", users.events)


def _save_pairs(directory: Path, name: str, pairs: ItemItemTable) -> None:
    save_array(directory, f"{name}_offsets", pairs.offsets)
    save_array(directory, f"{name}_rows", pairs.rows)
    save_array(directory, f"{name}_weights", pairs.weights)


def _open_pairs(directory: Path, name: str) -> ItemItemTable:
    return ItemItemTable(
        offsets=_map(directory, f"{name}_offsets"),
        rows=_map(directory, f"{name}_rows"),
        weights=_map(directory, f"{name}_weights"),
    )


def _open_items(directory: Path, manifest: Manifest) -> ItemTables:
    vectors = _map(directory, "item_vectors")
    return ItemTables(
        ids=_map(directory, "item_ids"),
        vectors=vectors,
        inputs=_map(directory, ITEM_INPUTS) if f"{ITEM_INPUTS}.npy" in manifest.files else vectors,
        features=_map(directory, "item_features"),
        popular=_map(directory, "popular_rows"),
        item_item=ItemItemTables(
            cooccurrence=_open_pairs(directory, COOCCURRENCE_FILES), slim=_open_pairs(directory, SLIM_FILES)
        ),
        value_mean=manifest.value_mean,
        value_std=manifest.value_std,
    )


def _open_users(directory: Path) -> UserTables:
    return UserTables(
        ids=_map(directory, "user_ids"),
        features=_map(directory, "user_features"),
        offsets=_map(directory, "history_offsets"),
        rows=_map(directory, "history_rows"),
        values=_map(directory, "history_values"),
        events=_map(directory, "history_events"),
    )


def _map(directory: Path, name: str) -> NDArray[Any]:
    path = directory / f"{name}.npy"
    try:
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise BundleError(path, f"cannot be mapped: {error}") from error
    # Every slice of a memmap pays for its subclass; a plain view of the same pages is several times faster.
    return np.asarray(mapped).view(np.ndarray)
