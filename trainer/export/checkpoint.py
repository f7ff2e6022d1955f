"""The trained weights inside a bundle, from which it can be exported again with newer histories and counts."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from shortlist.bundle.history import SeenEvents
from shortlist.bundle.ids import rows_of
from shortlist.bundle.manifest import Manifest
from shortlist.forgotten_list import ForgottenList
from trainer.data import Dataset, load
from trainer.data.learnt_columns import LearntColumns
from trainer.errors import DataError
from trainer.export.column_arrays import as_arrays, of_arrays
from trainer.features.click_rates import click_rates_before
from trainer.features.layout import FeatureLayout, with_id_embeddings
from trainer.features.statistics import item_tables
from trainer.models.encoders.encoded import Encoded
from trainer.models.late_items import with_late_items
from trainer.models.new_items import gathered, over_items
from trainer.models.pipeline import TrainedItems, TrainedPipeline
from trainer.models.rankers import RankerDataSpec
from trainer.models.rankers.id_embeddings import IdEmbeddings
from trainer.models.rankers.objectives import Objectives
from trainer.models.registry import build_encoder, build_ranker
from trainer.recipe import VALUE, Recipe
from trainer.training.encoder.training import encoder_data_spec

CHECKPOINT = "weights.npz"
_ITEM_IDS, _ITEM_EMBEDDINGS, _USER_EMBEDDINGS = "own.item_ids", "own.items", "own.users"


def save_checkpoint(model: TrainedPipeline, learnt: LearntColumns, directory: Path) -> None:
    """Writes the weights of both stages, and the learnt columns, as plain arrays: reading can run no code."""
    modules = {"encoder": model.encoded.encoder, "ranker": model.ranker}
    arrays: dict[str, Any] = {
        f"{name}.{key}": value.numpy() for name, one in modules.items() for key, value in one.state_dict().items()
    }
    items = model.trained_items or TrainedItems(ids=model.items.ids, id_embeddings=model.id_embeddings.items)
    arrays |= {_ITEM_IDS: items.ids, _ITEM_EMBEDDINGS: items.id_embeddings, _USER_EMBEDDINGS: model.id_embeddings.users}
    arrays |= as_arrays(learnt)
    np.savez(directory / CHECKPOINT, **arrays)


def load_dataset(directory: Path, data: Path, forgotten: ForgottenList | None = None) -> Dataset:
    """The data as :func:`trainer.data.load` reads it now, with the learnt columns of the bundle.

    Raises:
        DataError: the data has other columns, or the bundle is of a release without learnt columns.
    """
    manifest = Manifest.read(directory)
    manifest.verify(directory)
    with np.load(directory / CHECKPOINT, allow_pickle=False) as arrays:
        learnt = of_arrays(arrays)
    return load(data, Recipe.of(manifest.recipe), learnt, forgotten)


def load_two_stage(directory: Path, dataset: Dataset, end: int) -> TrainedPipeline:
    """The models of a bundle, over tables counted from the events before ``end``.

    The data may have other items than those that the models have learnt from. A new item has its vector from its
    features, where the encoder reads them, or else from its users.

    Raises:
        DataError: features, kinds of events or objectives of the data differ from the bundle's, or it has none of its
            items. Or the bundle is of a release whose models had other parts.
    """
    manifest = Manifest.read(directory)
    manifest.verify(directory)
    recipe = Recipe.of(manifest.recipe)
    objectives = Objectives.of(recipe, dataset)
    with np.load(directory / CHECKPOINT, allow_pickle=False) as weights:
        layout = FeatureLayout.of(dataset, manifest.context, weights[_ITEM_EMBEDDINGS].shape[1])
        trained = TrainedItems(ids=_trained_ids(directory, weights), id_embeddings=weights[_ITEM_EMBEDDINGS])
        rows = _rows_of_items(directory, dataset, trained)
        _check_same_data(directory, manifest, dataset, layout)
        _check_same_objectives(directory, manifest, objectives)
        encoded = over_items(
            _load_encoder(recipe, dataset, end, weights, len(trained.ids)), rows, dataset.item_features.matrix
        )
        encoded, late = with_late_items(encoded, dataset, end)
        click_rates = click_rates_before(dataset, dataset.time_of(end))
        items = item_tables(dataset, end, recipe.statistics, encoded.vectors, encoded.inputs, click_rates)
        items = replace(items, value_mean=manifest.value_mean, value_std=manifest.value_std)
        ranker = build_ranker(recipe.ranker, RankerDataSpec.of(layout, items, objectives))
        _load(ranker, "ranker", weights)
        users = _rows_of_users(directory, dataset, weights[_USER_EMBEDDINGS])
        id_embeddings = IdEmbeddings(items=gathered(trained.id_embeddings, rows), users=users)
    return TrainedPipeline(
        recipe=recipe,
        encoded=encoded,
        items=replace(items, features=with_id_embeddings(items.features, id_embeddings.items)),
        ranker=ranker.eval(),
        id_embeddings=id_embeddings,
        click_rates=click_rates,
        # The models were trained to leave out these; the recipe's default may have been another then.
        seen_events=SeenEvents.of(manifest.event_names, manifest.seen_events),
        late_items=late,
        trained_items=None if np.array_equal(trained.ids, dataset.item_ids) else trained,
    )


def _load_encoder(
    recipe: Recipe, dataset: Dataset, end: int, weights: np.lib.npyio.NpzFile, trained_items: int
) -> Encoded:
    spec = encoder_data_spec(dataset, end)
    # An encoder that buckets values keeps the edges it was trained with; newer data has others. So with the items.
    spec = replace(
        spec,
        items=trained_items,
        item_features=np.zeros((trained_items, spec.item_features.shape[1]), dtype=np.float32),
        learnt=np.zeros(trained_items, dtype=np.bool_),
        value_edges=weights.get("encoder.events.value_edges", spec.value_edges),
    )
    encoder = build_encoder(recipe.encoder, spec)
    _load(encoder, "encoder", weights)
    return Encoded.of(encoder.eval(), recipe.encoder.history)


def _load(module: nn.Module, name: str, weights: np.lib.npyio.NpzFile) -> None:
    missing = [key for key in module.state_dict() if f"{name}.{key}" not in weights]
    if missing:
        raise DataError(f"the bundle's {name} is of another release, without {missing[0]}; fit again")
    module.load_state_dict({key: torch.from_numpy(weights[f"{name}.{key}"]) for key in module.state_dict()})


def _rows_of_users(directory: Path, dataset: Dataset, of_bundle: NDArray[np.float32]) -> NDArray[np.float32]:
    """The rows of the bundle's users in the order of the data's users; zeros for new users."""
    ids = np.load(directory / "user_ids.npy", allow_pickle=False)
    return gathered(of_bundle, rows_of(ids, [one.decode() for one in dataset.user_ids.tolist()]))


def _trained_ids(directory: Path, weights: np.lib.npyio.NpzFile) -> NDArray[np.bytes_]:
    """The ids of the items that the models have learnt from; bundles of earlier releases have no others."""
    ids: NDArray[np.bytes_] = (
        weights[_ITEM_IDS] if _ITEM_IDS in weights else np.load(directory / "item_ids.npy", allow_pickle=False)
    )
    return ids


def _rows_of_items(directory: Path, dataset: Dataset, trained: TrainedItems) -> NDArray[np.int64]:
    """The row of each item of the data among those that were learnt from, -1 for a new one."""
    rows = rows_of(trained.ids, [one.decode() for one in dataset.item_ids.tolist()])
    if (rows < 0).all():
        raise DataError(
            f"none of the {len(rows):,} items of the data is among the {len(trained.ids):,} that {directory.name} has "
            "learnt from; fit again"
        )
    return rows


def _check_same_data(directory: Path, manifest: Manifest, dataset: Dataset, layout: FeatureLayout) -> None:
    items, users = layout.item_table, layout.encoder_users
    if manifest.item_features[items] != layout.item_names[items] or (
        manifest.user_features[users] != layout.user_names[users]
    ):
        raise DataError(f"the tables give other features than those of {directory.name}; fit again")
    if manifest.event_names != dataset.event_names:
        raise DataError(f"the data has other kinds of events than those of {directory.name}; fit again")


def _check_same_objectives(directory: Path, manifest: Manifest, objectives: Objectives) -> None:
    if objectives.names != manifest.objective_names:
        since = "have values now, which they had not" if VALUE in objectives.names else "have no values any more"
        raise DataError(
            f"the ranker of {directory.name} predicts {' and '.join(manifest.objective_names)}, and the data is "
            f"for one of {' and '.join(objectives.names)}: its interactions {since}; export with values as they were, "
            "or fit again"
        )
