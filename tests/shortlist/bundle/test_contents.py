"""A bundle whose manifest agrees with its files is still refused when their contents cannot be served."""

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shortlist.bundle import Bundle
from shortlist.errors import BundleError
from tests.shortlist.bundle.fake import NEWEST, manifest_of, write_files

Change = Callable[[NDArray[Any]], NDArray[Any]]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """The directory of a bundle without its manifest, whose pairs and histories have some rows."""
    directory = tmp_path / NEWEST
    directory.mkdir()
    write_files(directory, NEWEST)
    return directory


def _open(directory: Path) -> Bundle:
    manifest_of(directory, directory.name).write(directory)
    return Bundle.open(directory)


def _changed(place: int | slice, value: object) -> Change:
    def change(array: NDArray[Any]) -> NDArray[Any]:
        array = array.copy()
        array[place] = value
        return array

    return change


def test_the_bundle_of_these_tests_opens(bundle: Path) -> None:
    """Proves that the refusals below have no other reason."""
    assert _open(bundle).bundle_id == NEWEST


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("item_ids", lambda ids: ids[::-1], "not in the order of their bytes"),
        ("item_ids", _changed(1, b"i0"), "twice there"),
        ("item_ids", _changed(0, b""), "empty"),
        ("item_ids", _changed(-1, b"\xff"), "not UTF-8"),
        ("item_ids", _changed(slice(3, 5), [b"z\xc3", b"z\xc4"]), "not UTF-8"),
        ("item_ids", lambda ids: ids.astype(str), "not |S"),
        ("item_ids", lambda ids: np.arange(len(ids)), "not |S"),
        ("item_vectors", lambda vectors: vectors.astype(np.float64), "not <f4"),
        ("item_vectors", lambda vectors: np.asfortranarray(vectors), "no array in rows"),
        ("item_vectors", lambda vectors: vectors[:-1], "not <f4"),
        ("item_vectors", lambda vectors: np.full(vectors.shape, b"x"), "not <f4"),
        ("item_vectors", _changed(2, np.nan), "not finite"),
        ("item_features", _changed(2, np.inf), "not finite"),
        ("unseen_features", _changed(0, np.nan), "not finite"),
        ("unseen_features", lambda features: features[None], "not <f4"),
        ("user_features", _changed(0, np.nan), "not finite"),
        ("popular_rows", _changed(0, 5), "outside 0 to 4"),
        ("popular_rows", _changed(0, -1), "outside 0 to 4"),
        ("popular_rows", _changed(0, 3), "a row twice"),
        ("popular_rows", lambda rows: rows.astype(np.float32), "not <i4"),
        ("user_ids", _changed(0, b""), "empty"),
        ("history_offsets", _changed(0, 1), "does not go from 0 to 1"),
        ("history_offsets", _changed(1, 2**62), "does not go from 0 to 1"),
        ("history_rows", _changed(0, 5), "outside 0 to 4"),
        ("history_rows", _changed(0, -1), "outside 0 to 4"),
        ("history_values", lambda values: values[:0], "0 entries for 1 rows"),
        ("history_values", _changed(0, -np.inf), "infinite"),
        ("history_events", _changed(0, 2), "outside 0 to 1"),
        ("cooccurrence_offsets", _changed(2, 4), "below the one before"),
        ("cooccurrence_offsets", _changed(-1, 2**40), "does not go from 0 to 5"),
        ("cooccurrence_rows", _changed(2, 2**31 - 1), "outside 0 to 4"),
        ("cooccurrence_rows", lambda rows: np.stack([rows, rows], axis=1), "not <i4"),
        ("cooccurrence_weights", _changed(2, np.nan), "not finite"),
        ("slim_rows", _changed(2, -1), "outside 0 to 4"),
        ("slim_weights", lambda weights: weights[:-1], "4 entries for 5 rows"),
    ],
)
def test_contents_that_cannot_be_served_are_refused(bundle: Path, name: str, change: Change, reason: str) -> None:
    """Proves that ids are sorted and distinct, rows exist, offsets fit, and numbers are finite; names the file."""
    path = bundle / f"{name}.npy"
    np.save(path, change(np.load(path)))
    with pytest.raises(BundleError) as caught:
        _open(bundle)
    assert caught.value.path.name == path.name
    assert reason in caught.value.reason


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([], "has no row"),
        ([0, 5], "outside 0 to 4"),
        ([1, 0], "not ascending"),
        ([1, 1], "not ascending"),
        ([0, 2], "other rows than the first of popular_rows.npy"),
    ],
)
def test_other_rows_of_lists_are_refused(bundle: Path, rows: list[int], reason: str) -> None:
    """Proves that rows of the index exist, come once, and are those of the popular items."""
    np.save(bundle / "popular_rows.npy", np.array([3, 0, 1, 2, 4], dtype=np.int32))
    np.save(bundle / "listed_rows.npy", np.array([0, 3], dtype=np.int32))
    assert _open(bundle).items.listed_count == 2
    (bundle / "manifest.json").unlink()
    np.save(bundle / "listed_rows.npy", np.array(rows, dtype=np.int32))
    with pytest.raises(BundleError) as caught:
        _open(bundle)
    assert caught.value.path.name == "listed_rows.npy"
    assert reason in caught.value.reason


def _npy(header: str, data: bytes = bytes(80), version: int = 1) -> bytes:
    text = header.encode()
    return b"\x93NUMPY" + bytes([version, 0]) + len(text).to_bytes(2 if version == 1 else 4, "little") + text + data


def _described(shape: str) -> str:
    return f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"


def _zip() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, vectors=np.zeros((5, 4), dtype=np.float32))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04" + bytes(200),
        _zip(),
        b"\x80\x04\x95cos\nsystem\n",
        _npy("{'descr': '<f4', 'shape': (5, 4)"),
        _npy("'''"),
        _npy("(" * 9000),
        _npy("-" * 9000 + "1"),
        _npy("-" * 400 + "1"),
        _npy(_described(f"({2**70}, 4)")),
        _npy(_described("(-5, -4)")),
        _npy(_described("(5, 4)"), bytes(79)),
        _npy(_described("(5, 4)"), bytes(81)),
        _npy(_described("(5, 4)"), version=2),
        _npy(_described("(5, 4)"), version=9),
    ],
    ids=range(15),
)
def test_any_bytes_in_place_of_an_array_are_a_bundle_error(bundle: Path, content: bytes) -> None:
    """Proves that no header ends in another exception, such as the parser's MemoryError or SyntaxError."""
    (bundle / "item_vectors.npy").write_bytes(content)
    with pytest.raises(BundleError, match=r"item_vectors\.npy: "):
        _open(bundle)


@pytest.mark.parametrize("name", ["user_ids.npy", "index.faiss", "ranker.onnx", "user_encoder.onnx"])
def test_a_file_that_the_manifest_does_not_list_is_not_loaded(bundle: Path, name: str) -> None:
    """Proves that nothing unverified is read, though it be a link to another place."""
    manifest_of(bundle, NEWEST).write(bundle)
    raw = json.loads((bundle / "manifest.json").read_text())
    del raw["files"][name]
    (bundle / "manifest.json").write_text(json.dumps(raw))
    (bundle / name).rename(bundle.parent / name)
    (bundle / name).symlink_to(bundle.parent / name)
    with pytest.raises(BundleError, match=f"{name}: is not in the manifest's list"):
        Bundle.open(bundle)


@pytest.mark.parametrize("name", ["manifest.json", "item_vectors.npy"])
def test_a_pipe_in_place_of_a_file_hangs_nobody(bundle: Path, name: str) -> None:
    """Proves that only regular files are opened: the opening of a pipe waits for its writer."""
    manifest_of(bundle, NEWEST).write(bundle)
    (bundle / name).unlink()
    os.mkfifo(bundle / name)
    with pytest.raises(BundleError, match=name):
        Bundle.open(bundle)
