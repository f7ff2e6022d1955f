"""An open bundle: verified, memory-mapped, shared by every thread of a service."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from shortlist.bundle.array_files import (
    COOCCURRENCE_FILES,
    ITEM_INPUTS,
    LISTED,
    SLIM_FILES,
    UNSEEN,
    expected_arrays,
    map_array,
)
from shortlist.bundle.checks import check_items, check_users
from shortlist.bundle.history import SeenEvents
from shortlist.bundle.item_columns import ITEM_COLUMNS
from shortlist.bundle.item_item import ItemItemTables
from shortlist.bundle.item_item_table import ItemItemTable
from shortlist.bundle.manifest import Manifest
from shortlist.bundle.tables import ItemTables, UserTables
from shortlist.errors import BundleError

USER_ENCODER = "user_encoder.onnx"
ITEM_ENCODER = "item_encoder.onnx"
RANKER = "ranker.onnx"
INDEX = "index.faiss"
ITEM_TABLE = "items.parquet"


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """One version of all artefacts of a training run. Each service opens the models and the index that it runs."""

    directory: Path
    manifest: Manifest
    items: ItemTables
    users: UserTables

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Verifies every file against the manifest, maps the tables into memory, and checks them.

        The time grows with the size of the files; reading them for their digests is most of it.

        Raises:
            BundleError: a file is missing, not listed or changed, does not match the manifest, or has contents that
                cannot be served.
        """
        manifest = Manifest.read(directory)
        _require_listed(manifest, directory, (INDEX, USER_ENCODER, RANKER))
        if not manifest.new_items_refusal:
            _require_listed(manifest, directory, (f"{UNSEEN}.npy", ITEM_COLUMNS, ITEM_ENCODER))
        manifest.verify(directory)
        if manifest.bundle_id != directory.name:
            # Callers ask for the directory's name and are answered with the manifest's id.
            raise BundleError(directory, f"holds bundle {manifest.bundle_id}, not the bundle of that name")
        arrays = _map_all(directory, manifest)
        items, users = _items(arrays, manifest), _users(arrays)
        check_items(directory, items)
        check_users(directory, users, manifest.item_count, len(manifest.event_names))
        return cls(directory=directory, manifest=manifest, items=items, users=users)

    @property
    def bundle_id(self) -> str:
        """The version's id, which every answer carries."""
        return self.manifest.bundle_id

    @cached_property
    def seen_events(self) -> SeenEvents:
        """The events whose items lists leave out."""
        return SeenEvents.of(self.manifest.event_names, self.manifest.seen_events)

    @property
    def most_popular(self) -> str:
        """The id of the most popular item. Warm-up queries use it, for every model has learnt about it."""
        return self.items.id_of(int(self.items.popular[0]))

    @property
    def create_time(self) -> datetime:
        """When the trainer made the bundle, in UTC."""
        return datetime.fromisoformat(self.manifest.create_time).astimezone(UTC)


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
    if items.listed is not None:
        save_array(directory, LISTED, items.listed)
    if items.unseen is not None:
        save_array(directory, UNSEEN, items.unseen)
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


def _require_listed(manifest: Manifest, directory: Path, names: Iterable[str]) -> None:
    # A file that the manifest does not list was not verified, and may be a link to another place.
    for name in names:
        if name not in manifest.files:
            raise BundleError(directory / name, "is not in the manifest's list of files")


def _map_all(directory: Path, manifest: Manifest) -> dict[str, NDArray[Any]]:
    expected = expected_arrays(manifest)
    _require_listed(manifest, directory, (f"{name}.npy" for name in expected))
    return {name: map_array(directory / f"{name}.npy", one) for name, one in expected.items()}


def _items(arrays: Mapping[str, NDArray[Any]], manifest: Manifest) -> ItemTables:
    return ItemTables(
        ids=arrays["item_ids"],
        vectors=arrays["item_vectors"],
        inputs=arrays.get(ITEM_INPUTS, arrays["item_vectors"]),
        features=arrays["item_features"],
        popular=arrays["popular_rows"],
        item_item=ItemItemTables(cooccurrence=_pairs(arrays, COOCCURRENCE_FILES), slim=_pairs(arrays, SLIM_FILES)),
        value_mean=manifest.value_mean,
        value_std=manifest.value_std,
        listed=arrays.get(LISTED),
        unseen=arrays.get(UNSEEN),
    )


def _pairs(arrays: Mapping[str, NDArray[Any]], name: str) -> ItemItemTable:
    return ItemItemTable(
        offsets=arrays[f"{name}_offsets"], rows=arrays[f"{name}_rows"], weights=arrays[f"{name}_weights"]
    )


def _users(arrays: Mapping[str, NDArray[Any]]) -> UserTables:
    return UserTables(
        ids=arrays["user_ids"],
        features=arrays["user_features"],
        offsets=arrays["history_offsets"],
        rows=arrays["history_rows"],
        values=arrays["history_values"],
        events=arrays["history_events"],
    )
