"""The features of an item in a service are the trainer's own, for each kind of column."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from shortlist.bundle.item_columns import ItemColumns
from shortlist.bundle.manifest import FileDigest, Manifest
from shortlist.inference.column_readers import ItemValue
from shortlist.inference.featuriser import ItemFeaturiser
from trainer.data import Dataset, load
from trainer.data.dataset import Features
from trainer.data.learnt_columns import KINDS
from trainer.export.new_items import item_columns
from trainer.recipe import DataRecipe, InteractionsConfig, ItemsConfig

_WORDS = ("red", "blue", "green", "sky", "sea", "Wald", "Straße", "हिन्दी", "千と千尋の神隠し", "नमस्ते", "ΟΔΟΣ")


def written(
    folder: Path, columns: ItemsConfig, learn: pl.DataFrame, then: pl.DataFrame
) -> tuple[Features, ItemColumns]:
    """The trainer's features of other rows than it has learnt from, and the columns as a service loads them."""
    interactions = InteractionsConfig(file="events.csv")
    recipe = DataRecipe(interactions=interactions, items=columns)
    (folder / "events.csv").write_text("user_id,item_id,timestamp\nu,i000,1\nv,i001,2\n")

    def read(rows: pl.DataFrame, before: Dataset | None = None) -> Dataset:
        ids = pl.Series("item_id", [f"i{row:03}" for row in range(len(rows))])
        rows.insert_column(0, ids).write_parquet(folder / columns.file)
        return load(folder, recipe, None if before is None else before.learnt_columns)

    dataset = read(learn)
    later = read(then, dataset)
    bundle = folder / "bundle"
    bundle.mkdir()
    item_columns(dataset, columns).save(bundle)
    manifest = object.__new__(Manifest)
    object.__setattr__(manifest, "files", {path.name: FileDigest.of(path) for path in bundle.iterdir()})
    return later.item_features, ItemColumns.load(bundle, manifest)


def rows_of(kind: str, count: int, random: np.random.Generator) -> list[object]:
    """Planted cells of a kind, some of them missing, empty or odd."""
    words = [[*random.choice(_WORDS, random.integers(1, 5))] for _ in range(count)]
    kinds: dict[str, Callable[[], list[object]]] = {
        "categorical": lambda: [f" {one[0]}" for one in words],
        "multi_valued": lambda: ["| ".join(one) for one in words],
        "listed": lambda: [[*one, None, " ", one[0]] for one in words],
        "numeric": lambda: [float(one) for one in np.exp(random.normal(0, 4, count))],
        "number texts": lambda: [f" {one:.3e}" for one in random.normal(0, 1e4, count)],
        "text": lambda: [" ".join(one).title() for one in words],
        "words": lambda: [*words],
        "vectors": lambda: random.normal(0, 9, (count, 3)).tolist(),
    }
    cells = kinds[kind]()
    cells[::7] = [None] * len(cells[::7])
    return cells


@pytest.mark.parametrize(
    ("columns", "kind"),
    [
        (ItemsConfig(categorical=("x",)), "categorical"),
        (ItemsConfig(multi_valued=("x",)), "multi_valued"),
        (ItemsConfig(multi_valued=("x",)), "listed"),
        (ItemsConfig(numeric=("x",)), "numeric"),
        (ItemsConfig(numeric=("x",)), "number texts"),
        (ItemsConfig(text=("x",), directions=4), "text"),
        (ItemsConfig(text=("x",), directions=4), "words"),
        (ItemsConfig(vectors=("x",)), "vectors"),
    ],
)
def test_a_new_item_has_the_features_of_the_trainer(tmp_path: Path, columns: ItemsConfig, kind: str) -> None:
    """Proves it of each kind of column, by rows that the trainer has not learnt from, of which some are empty."""
    random = np.random.default_rng(5)
    learn, then = (pl.DataFrame({"x": rows_of(kind, count, random)}) for count in (60, 40))
    then = pl.concat([then, pl.DataFrame({"x": unknown(kind)}, schema=then.schema)])
    values: Sequence[ItemValue | None] = [without_nulls(one) for one in then["x"].to_list()]
    expected, loaded = written(tmp_path, columns, learn, then)
    featuriser = ItemFeaturiser(loaded)
    found = featuriser.rows([{"x": one} for one in values])
    assert loaded.names == [*expected.names]
    assert found.any(axis=0).all()
    np.testing.assert_allclose(found, expected.matrix, atol=1e-6)


def unknown(kind: str) -> list[object]:
    """A cell whose content the trainer has not seen."""
    known = {"numeric": -1e30, "number texts": "1e30", "vectors": [0.0, -0.0, 1e30]}
    return [known.get(kind, ["?", "horror"] if kind in ("listed", "words") else "? horror")]


def without_nulls(cell: object) -> ItemValue | None:
    """The cell as a caller gives it: an item of a list is never missing."""
    return [one for one in cell if one is not None] if isinstance(cell, list) else cell  # type: ignore[return-value]


def test_columns_of_all_kinds_lie_in_the_order_of_the_trainer(tmp_path: Path) -> None:
    """Proves it of a table with each kind but sentences, of columns of two kinds, and of those that give nothing."""
    rows = pl.DataFrame(
        {
            "year": ["1990", "1995", "1990", None],
            "kind": ["film", "book", "film", None],
            "tags": ["x|y", "y", "x", ""],
            "title": ["red sky", "red sea", "blue sky", "blue sea"],
            "cover": [[1.0, 0.0], [0.0, 1.0], None, [0.5, 0.5]],
            "empty": pl.Series([None] * 4, dtype=pl.Float32),
            "alone": ["a", "b", "c", "d"],
        }
    )
    columns = ItemsConfig(
        categorical=("kind", "year", "title"),
        multi_valued=("tags",),
        numeric=("empty", "year"),
        text=("alone", "title"),
        vectors=("cover",),
        directions=2,
    )
    expected, loaded = written(tmp_path, columns, rows.clone(), rows.clone())
    found = ItemFeaturiser(loaded).rows(rows.to_dicts())
    assert loaded.names == [*expected.names]
    np.testing.assert_allclose(found, expected.matrix, atol=1e-6)


def test_every_kind_of_the_trainer_has_its_place_in_the_file() -> None:
    """Proves that a kind that is added to the trainer is added here, in the same order."""
    assert [one.name for one in fields(ItemColumns)] == [*KINDS, "text_arrays"]
