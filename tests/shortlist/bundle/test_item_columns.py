"""The columns of items in a bundle: as they were saved, or refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shortlist.bundle.item_columns import (
    CategoricalColumn,
    ItemColumns,
    MultiValuedColumn,
    NumericColumn,
    Scale,
    TextArrays,
    TextColumn,
    VectorColumn,
)
from shortlist.bundle.manifest import FileDigest, Manifest
from shortlist.errors import BundleError
from tests.shortlist.bundle.fake import NEWEST, manifest_of

_COLUMNS = ItemColumns(
    categorical=(CategoricalColumn(name="kind", values=("a=b", "ü\0")),),
    multi_valued=(MultiValuedColumn(name="tags", values=("x",), separator="|"),),
    numeric=(
        NumericColumn(name="year", scale=Scale(mean=1 / 3, deviation=1e-30), edges=(0.1, 3.4e38)),
        NumericColumn(name="empty"),
    ),
    text=(TextColumn(name="title", is_list=True, words=("red", "sky"), directions=1),),
    sentences=(VectorColumn(name="title", length=1),),
    vectors=(VectorColumn(name="cover", length=2),),
    text_arrays=(TextArrays(idf=np.array([1.0, 2.0]), directions=np.array([[0.6, 0.8]])),),
)


def _listing(directory: Path) -> Manifest:
    files = {path.name: FileDigest.of(path) for path in directory.iterdir()}
    return replace(manifest_of(directory, NEWEST), files=files)


def test_saved_columns_are_loaded_as_they_were(tmp_path: Path) -> None:
    """Proves it of every field to the bit, and that the names are in the order of the trainer's kinds."""
    _COLUMNS.save(tmp_path)
    loaded = ItemColumns.load(tmp_path, _listing(tmp_path))
    assert [*loaded.in_order] == [*_COLUMNS.in_order]
    assert loaded.names == [
        *("kind=a=b", "kind=ü\0", "tags=x", "year", "year[0]", "year[1]", "year[2]"),
        *("title~0", "title.0", "cover.0", "cover.1"),
    ]
    (arrays,) = loaded.text_arrays
    assert (arrays.idf.tolist(), arrays.directions.tolist()) == ([1.0, 2.0], [[0.6, 0.8]])


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda raw: raw["categorical"][0].update(values=["b", "a"]), "'kind': values do not ascend"),
        (lambda raw: raw["categorical"][0].update(values=["a", "a"]), "'kind': values do not ascend"),
        (lambda raw: raw["categorical"][0].update(values=[""]), "length"),
        (lambda raw: raw["categorical"][0].update(values=[1]), "Expected `str`"),
        (lambda raw: raw["categorical"][0].pop("name"), "missing required field `name`"),
        (lambda raw: raw["multi_valued"][0].update(separator=""), "length"),
        (lambda raw: raw["numeric"][0].update(edges=[2, 1]), "'year': edges do not ascend"),
        (lambda raw: raw["numeric"][0]["scale"].update(deviation=0), "$.numeric[0].scale.deviation"),
        (lambda raw: raw["numeric"][0]["scale"].update(mean=1e40), "$.numeric[0].scale.mean"),
        (lambda raw: raw["numeric"][0]["scale"].update(mean=float("nan")), "malformed"),
        (lambda raw: raw["text"][0].update(words=["sky", "red"]), "'title': words do not ascend"),
        (lambda raw: raw["text"][0].update(words=["red"]), "not <f8 [1]"),
        (lambda raw: raw["text"][0].update(directions=2), "not <f8 [2, 2]"),
        (lambda raw: raw["vectors"][0].update(length=-1), "$.vectors[0].length"),
        (lambda raw: raw["vectors"][0].update(length=2**21), "$.vectors[0].length"),
        (lambda raw: raw.update(categorical="x"), "Expected `array`"),
    ],
)
def test_columns_that_cannot_be_served_are_refused(tmp_path: Path, change: Change, reason: str) -> None:
    """Proves that types, ranges, order and sizes are checked; names the file."""
    _COLUMNS.save(tmp_path)
    path = tmp_path / "item_columns.json"
    raw = json.loads(path.read_text())
    change(raw)
    path.write_text(json.dumps(raw))
    with pytest.raises(BundleError) as caught:
        ItemColumns.load(tmp_path, _listing(tmp_path))
    assert caught.value.path.name.startswith("item_")
    assert reason in caught.value.reason


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("item_columns.json", b"", "has no columns of items"),
        ("item_columns.json", b"[" * 10**6, "has no columns of items"),
        ("item_text_0_idf.npy", np.array([1.0, np.nan]), "outside 0 to 1000"),
        ("item_text_0_idf.npy", np.array([1.0, 0.0]), "outside 0 to 1000"),
        ("item_text_0_idf.npy", np.array([1.0, 2.0], dtype=np.float32), "not <f8"),
        ("item_text_0_directions.npy", np.array([[0.6, np.nan]]), "outside -2 to 2"),
        ("item_text_0_directions.npy", np.array([[0.6, np.inf]]), "outside -2 to 2"),
    ],
)
def test_files_that_are_no_columns_are_refused(
    tmp_path: Path, name: str, content: bytes | np.ndarray, reason: str
) -> None:
    """Proves it of text that is no JSON, of lists within lists, and of numbers that no trainer gives."""
    _COLUMNS.save(tmp_path)
    if isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    else:
        np.save(tmp_path / name, content)
    with pytest.raises(BundleError) as caught:
        ItemColumns.load(tmp_path, _listing(tmp_path))
    assert caught.value.path.name == name
    assert reason in caught.value.reason


@pytest.mark.parametrize("name", ["item_columns.json", "item_text_0_idf.npy", "item_text_0_directions.npy"])
def test_a_file_that_the_manifest_does_not_list_is_refused(tmp_path: Path, name: str) -> None:
    """Proves that nothing unverified is read."""
    _COLUMNS.save(tmp_path)
    manifest = _listing(tmp_path)
    listed = {key: value for key, value in manifest.files.items() if key != name}
    with pytest.raises(BundleError, match="is not in the manifest's list of files"):
        ItemColumns.load(tmp_path, replace(manifest, files=listed))
