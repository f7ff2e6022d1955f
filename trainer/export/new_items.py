"""The part of a bundle that describes new items: the columns of the item table as they were learnt, and an encoder."""

from pathlib import Path

import polars as pl

from shortlist.bundle.bundle import ITEM_ENCODER
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
from trainer.data import Dataset
from trainer.data.learnt_columns import Column, MultiHot, Numeric, Sentences, Text, Vectors
from trainer.errors import TrainerError
from trainer.export.onnx_files import export_item_encoder
from trainer.models.encoders import Encoder
from trainer.models.new_items import without_content
from trainer.models.pipeline import TrainedPipeline
from trainer.models.registry import ENCODERS
from trainer.recipe import ItemsConfig


def export_new_items(model: TrainedPipeline, dataset: Dataset, directory: Path) -> str:
    """Writes the columns and the item encoder; where the encoder reads no features, returns why, and what to change.

    Raises:
        TrainerError: the exported encoder differs from PyTorch.
    """
    reason = without_content(model, dataset)
    if reason:
        return f"{reason}: {_advice(dataset)}"
    item_columns(dataset, model.recipe.items or ItemsConfig()).save(directory)
    export_item_encoder(model.encoded.encoder, dataset.item_features.matrix, directory / ITEM_ENCODER)
    return ""


def item_columns(dataset: Dataset, recipe: ItemsConfig) -> ItemColumns:
    """The learnt columns of the item table, as services read them."""
    found: dict[str, list[object]] = {}
    arrays: list[TextArrays] = []
    for key, column in dataset.item_features.learnt.items():
        kind, _, name = key.partition(":")
        found.setdefault(kind, []).append(_column(column, kind, name, dataset.item_table, recipe))
        if isinstance(column, Text):
            arrays.append(_text_arrays(column))
    return ItemColumns(**{kind: tuple(columns) for kind, columns in found.items()}, text_arrays=tuple(arrays))  # type: ignore[arg-type]


def _column(column: Column, kind: str, name: str, table: pl.DataFrame, recipe: ItemsConfig) -> object:
    match column:
        case MultiHot() if kind == "multi_valued":
            return MultiValuedColumn(name=name, values=tuple(column.values), separator=recipe.separator)
        case MultiHot():
            return CategoricalColumn(name=name, values=tuple(column.values))
        case Numeric():
            scale = Scale(mean=float(column.scale[0]), deviation=float(column.scale[1])) if len(column.scale) else None
            return NumericColumn(name=name, scale=scale, edges=tuple(column.edges.tolist()))
        case Text():
            is_list = isinstance(table[name].dtype, pl.List)
            words = tuple(column.words) if len(column.directions) else ()
            return TextColumn(name=name, is_list=is_list, words=words, directions=len(column.directions))
        case Sentences():
            return VectorColumn(name=name, length=len(column.sample))
        case Vectors():
            return VectorColumn(name=name, length=int(column.length))
    raise TrainerError(f"column {name!r}: no service knows the kind {kind}")


def _text_arrays(column: Text) -> TextArrays:
    words = len(column.words) if len(column.directions) else 0
    return TextArrays(idf=column.idf[:words], directions=column.directions[:, :words])


def _advice(dataset: Dataset) -> str:
    if not dataset.item_features.matrix.shape[1]:
        return "name columns of the item table in the recipe's [items]"
    readers = sorted(name for name, kind in ENCODERS.items() if kind.of_content is not Encoder.of_content)
    return f"choose {', '.join(readers[:-1])} or {readers[-1]} as the name in the recipe's [encoder]"
