"""A bundle of any size with the benchmark's models, written in chunks and without training."""

import dataclasses
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.harness.planted import HISTORY, Planted, genre_of
from shortlist.bundle import Bundle, BundleStore
from shortlist.bundle.array_files import COOCCURRENCE_FILES, SLIM_FILES
from shortlist.bundle.bundle import INDEX, RANKER, USER_ENCODER, save_array
from shortlist.bundle.bundle_id import new_bundle_id
from shortlist.bundle.history import History
from shortlist.bundle.index_info import IndexInfo
from shortlist.bundle.item_item import PAIR_WEIGHTS
from shortlist.bundle.manifest import FileDigest
from shortlist.inference.model_inputs import encoder_inputs
from shortlist.inference.onnx_session import OnnxSession

_NEIGHBOURS = 10
_STATISTICS = 5
_CHUNK = 250_000


def user_vectors(models: Path, histories: NDArray[np.int64], vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """User vectors ``[users, DIMENSION]`` of histories ``[users, length]`` of item rows, by the benchmark's encoder."""
    session = OnnxSession(models / USER_ENCODER)
    of_users = [_history(rows) for rows in histories]
    return np.concatenate(
        [
            session.run(encoder_inputs(vectors, part, HISTORY, np.zeros((len(part), 0), dtype=np.float32)))
            for part in (of_users[start : start + 50] for start in range(0, len(of_users), 50))
        ]
    )


def _history(rows: NDArray[np.int64]) -> History:
    nothing = np.full(len(rows), np.nan, dtype=np.float32)
    return History(rows=rows.astype(np.int32), values=nothing, events=np.zeros(len(rows), dtype=np.int64))


def write_bundle(
    store: BundleStore, models: Path, planted: Planted, vectors: Path, index: Path, info: IndexInfo, users: int = 1000
) -> None:
    """Publishes the bundle as the store's current one; moves ``vectors`` and ``index`` into it."""
    bundle_id = new_bundle_id(max(store.ids(), default=""))
    template = Bundle.open(models)
    with store.publishing(bundle_id) as directory:
        vectors.rename(directory / "item_vectors.npy")
        index.rename(directory / INDEX)
        for name in (USER_ENCODER, RANKER):
            os.link(models / name, directory / name)
        _write_items(planted, directory, len(template.manifest.item_features))
        _write_users(planted, directory, users)
        manifest = dataclasses.replace(
            template.manifest,
            bundle_id=bundle_id,
            item_count=planted.items,
            user_count=users,
            index=info,
            files={path.name: FileDigest.of(path) for path in sorted(directory.iterdir())},
        )
        manifest.write(directory)


def _write_items(planted: Planted, directory: Path, features: int) -> None:
    rows = np.arange(planted.items)
    save_array(directory, "item_ids", np.char.mod("i%08d", rows).astype(np.bytes_))
    save_array(directory, "popular_rows", rows.astype(np.int32))
    _write_chunks(directory / "item_features.npy", (planted.items, features), np.float32, planted, _features)
    pairs = planted.items * _NEIGHBOURS
    for name in (COOCCURRENCE_FILES, SLIM_FILES):
        save_array(directory, f"{name}_offsets", np.arange(planted.items + 1) * _NEIGHBOURS)
        _write_chunks(directory / f"{name}_rows.npy", (pairs,), np.int32, planted, _neighbours)
        _write_chunks(directory / f"{name}_weights.npy", (pairs, PAIR_WEIGHTS), np.float32, planted, _weights)


def _write_chunks(path: Path, shape: tuple[int, ...], kind: type, planted: Planted, make: object) -> None:
    array = np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=shape)
    each = shape[0] // planted.items
    for start in range(0, planted.items, _CHUNK):
        rows = np.arange(start, min(start + _CHUNK, planted.items))
        assert callable(make)
        array[start * each : (start + len(rows)) * each] = make(rows, planted, shape)
    array.flush()


def _features(rows: NDArray[np.int64], planted: Planted, shape: tuple[int, ...]) -> NDArray[np.float32]:
    features = np.zeros((len(rows), shape[1]), dtype=np.float32)
    features[np.arange(len(rows)), _STATISTICS + genre_of(rows, planted) % (shape[1] - _STATISTICS)] = 1.0
    return features


def _neighbours(rows: NDArray[np.int64], planted: Planted, shape: tuple[int, ...]) -> NDArray[np.int32]:
    """Each item's next items in its cluster."""
    steps = np.arange(1, _NEIGHBOURS + 1) * len(planted.centres)
    return ((rows[:, None] + steps) % planted.items).ravel().astype(np.int32)


def _weights(rows: NDArray[np.int64], planted: Planted, shape: tuple[int, ...]) -> NDArray[np.float32]:
    return np.full((len(rows) * _NEIGHBOURS, PAIR_WEIGHTS), 1 / _NEIGHBOURS, dtype=np.float32)


def _write_users(planted: Planted, directory: Path, users: int) -> None:
    histories = planted.histories(users)
    save_array(directory, "user_ids", np.array([f"u{user:06}" for user in range(users)], dtype=np.bytes_))
    save_array(directory, "user_features", np.ones((users, 1), dtype=np.float32))
    save_array(directory, "history_offsets", np.arange(users + 1) * histories.shape[1])
    save_array(directory, "history_rows", histories.ravel().astype(np.int32))
    save_array(directory, "history_values", np.full(histories.size, np.nan, dtype=np.float32))
    save_array(directory, "history_events", np.zeros(histories.size, dtype=np.uint8))
