"""All that was learnt, inside a bundle, so that it can be written again with newer histories and counts, untrained."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from shortlist.bundle.ids import rows_of
from shortlist.bundle.manifest import Manifest
from trainer.data import Dataset, load
from trainer.data.learnt_columns import LearntColumns
from trainer.errors import DataError
from trainer.export.column_arrays import as_arrays, of_arrays
from trainer.features.click_rates import click_rates_before
from trainer.features.statistics import STATISTICS, item_tables
from trainer.models.encoders import build_encoder
from trainer.models.encoders.encoded import Encoded
from trainer.models.pipeline import TrainedPipeline
from trainer.models.rankers import build_ranker
from trainer.models.rankers.base import KNOWN, named
from trainer.models.rankers.id_embeddings import IdEmbeddings
from trainer.models.rankers.objectives import objectives_of, scales_of
from trainer.recipe import VALUE, Recipe
from trainer.training.encoder.training import encoder_data_spec
from trainer.training.ranker.training import ranker_data_spec, with_id_embeddings

CHECKPOINT = "weights.npz"
_OWN_ITEMS, _OWN_USERS = "own.items", "own.users"


def save_checkpoint(model: TrainedPipeline, learnt: LearntColumns, directory: Path) -> None:
    """Writes the weights of both stages, and what features are made with, as plain arrays: reading can run no code."""
    modules = {"encoder": model.encoded.encoder, "ranker": model.ranker}
    arrays: dict[str, Any] = {
        f"{name}.{key}": value.numpy() for name, one in modules.items() for key, value in one.state_dict().items()
    }
    arrays |= {_OWN_ITEMS: model.id_embeddings.items, _OWN_USERS: model.id_embeddings.users} | as_arrays(learnt)
    np.savez(directory / CHECKPOINT, **arrays)


def load_dataset(directory: Path, data: Path) -> Dataset:
    """The data as it is now, as :func:`trainer.data.load` reads it; its features are made as those of the bundle were.

    Raises:
        DataError: the data has other columns, or the bundle is of a release that did not keep what it had learnt.
    """
    manifest = Manifest.read(directory)
    manifest.verify(directory)
    with np.load(directory / CHECKPOINT, allow_pickle=False) as arrays:
        learnt = of_arrays(arrays)
    return load(data, Recipe.of(manifest.recipe), learnt)


def load_two_stage(directory: Path, dataset: Dataset, end: int) -> TrainedPipeline:
    """The models of a bundle, over tables counted from the events before ``end``.

    Raises:
        DataError: the data has other items, features, kinds of events or objectives than the bundle was trained on, or
        the
            bundle is of a release whose models had other parts.
    """
    manifest = Manifest.read(directory)
    manifest.verify(directory)
    recipe = Recipe.of(manifest.recipe)
    _check_same_data(directory, manifest, dataset)
    _check_same_objectives(directory, manifest, tuple(objectives_of(recipe, dataset)))
    with np.load(directory / CHECKPOINT, allow_pickle=False) as weights:
        spec = encoder_data_spec(dataset, end)
        # An encoder that buckets values keeps the edges it was trained with; newer data has others.
        edges = weights.get("encoder.events.value_edges", spec.value_edges)
        encoder = build_encoder(recipe.encoder, replace(spec, value_edges=edges))
        _load(encoder, "encoder", weights)
        encoded = Encoded.of(encoder.eval(), recipe.encoder.history)
        click_rates = click_rates_before(dataset, dataset.time_of(end))
        items = item_tables(dataset, end, recipe.statistics, encoded.vectors, encoded.inputs, click_rates)
        items = replace(items, value_mean=manifest.value_mean, value_std=manifest.value_std)
        objectives = scales_of(
            objectives_of(recipe, dataset), np.zeros((0, len(manifest.objective_names)), dtype=np.float32)
        )
        id_embeddings = IdEmbeddings(
            items=weights[_OWN_ITEMS], users=_of_users(directory, dataset, weights[_OWN_USERS])
        )
        context = named({column.name: column.width for column in manifest.context})
        ranker = build_ranker(
            recipe.ranker,
            ranker_data_spec(
                dataset, items, objectives, context, id_embeddings.width, click_rates=len(click_rates.names)
            ),
        )
        _load(ranker, "ranker", weights)
    return TrainedPipeline(
        recipe=recipe,
        encoded=encoded,
        items=with_id_embeddings(items, id_embeddings),
        ranker=ranker.eval(),
        id_embeddings=id_embeddings,
        click_rates=click_rates,
        objectives=manifest.objectives,
        context=manifest.context,
    )


def _load(module: nn.Module, name: str, weights: np.lib.npyio.NpzFile) -> None:
    missing = [key for key in module.state_dict() if f"{name}.{key}" not in weights]
    if missing:
        raise DataError(f"the bundle's {name} is of another release, without {missing[0]}; fit again")
    module.load_state_dict({key: torch.from_numpy(weights[f"{name}.{key}"]) for key in module.state_dict()})


def _of_users(directory: Path, dataset: Dataset, id_embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """The rows of the bundle's users for those of the data; zeros for who is new."""
    ids = np.load(directory / "user_ids.npy", allow_pickle=False)
    rows = rows_of(ids, [one.decode() for one in dataset.user_ids.tolist()])
    of_users = np.zeros((len(rows), id_embeddings.shape[1]), dtype=np.float32)
    of_users[rows >= 0] = id_embeddings[rows[rows >= 0]]
    return of_users


def _check_same_data(directory: Path, manifest: Manifest, dataset: Dataset) -> None:
    ids = np.load(directory / "item_ids.npy", allow_pickle=False)
    counted = len(STATISTICS) + (0 if dataset.impressions is None else 1 + len(dataset.impressions.objectives))
    names = manifest.item_features[counted:][: len(dataset.item_features.names)]
    users = manifest.user_features[: manifest.user_features.index(KNOWN)]
    if not np.array_equal(ids, dataset.item_ids):
        raise DataError(
            f"the data has {len(dataset.item_ids)} items, not the {len(ids)} of {directory.name}; fit again"
        )
    if names != dataset.item_features.names or users != dataset.user_features.names:
        raise DataError(f"the tables give other features than those of {directory.name}; fit again")
    if manifest.event_names != dataset.event_names:
        raise DataError(f"the data has other kinds of events than those of {directory.name}; fit again")


def _check_same_objectives(directory: Path, manifest: Manifest, objectives: tuple[str, ...]) -> None:
    if objectives != manifest.objective_names:
        since = "have values now, which they had not" if VALUE in objectives else "have no values any more"
        raise DataError(
            f"the ranker of {directory.name} predicts {' and '.join(manifest.objective_names)}, and the data is "
            f"for one of {' and '.join(objectives)}: its interactions {since}; export with values as they were, or "
            "fit again"
        )
