"""The bundle of the serving benchmarks: 100,000 items of 64 dimensions, 20,000 users with histories of 50."""

import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import nn

from bench.harness.planted import BUNDLES, CANDIDATES, DIMENSION, HISTORY, ITEMS, USERS, Planted, genre_of
from bench.harness.untrained_ranker import with_untrained_ranker
from shortlist.bundle import Bundle, BundleStore
from shortlist.errors import BundleError
from trainer.data import Dataset, load
from trainer.export.bundle import export_bundle
from trainer.models.encoders.encoded import Encoded
from trainer.models.encoders.transformer import TransformerEncoder
from trainer.models.pipeline import TrainedPipeline
from trainer.models.rankers import SharedBackbone
from trainer.recipe import ItemsConfig, Recipe
from trainer.recipe.encoders import TransformerConfig
from trainer.recipe.rankers import NtnMlpConfig
from trainer.training.encoder.training import encoder_data_spec

ENCODER = TransformerConfig(dimension=DIMENSION, history=HISTORY)
RECIPE = Recipe(
    items=ItemsConfig(categorical=("genre",)),
    encoder=ENCODER,
    ranker=NtnMlpConfig(candidates=CANDIDATES, history=HISTORY),
)


def planted_bundle(root: Path = BUNDLES) -> Path:
    """The directory of the bundle. The trainer's own export builds it unless a readable one exists."""
    try:
        return Bundle.open(BundleStore(root).current()).directory
    except BundleError:
        planted = Planted.of(ITEMS)
        with tempfile.TemporaryDirectory() as folder:
            _write_tables(planted, Path(folder))
            dataset = load(Path(folder), RECIPE)
        return export_bundle(_model(planted, dataset), dataset, {}, root)


def _write_tables(planted: Planted, folder: Path) -> None:
    histories = planted.histories(USERS)
    users = np.repeat(np.arange(USERS), HISTORY)
    # Every user acts once a minute, which interleaves the events of all users.
    times = np.tile(np.arange(HISTORY) * 60, USERS) + users % 60
    pl.DataFrame(
        {"user_id": _ids("u", users), "item_id": _ids("i", histories.ravel()), "timestamp": times}
    ).write_parquet(folder / "interactions.parquet")
    rows = np.arange(ITEMS)
    genres = [f"genre{genre}" for genre in genre_of(rows, planted).tolist()]
    pl.DataFrame({"item_id": _ids("i", rows), "genre": genres}).write_parquet(folder / "items.parquet")


def _ids(letter: str, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> list[str]:
    # Fixed width, so that the ids sort bytewise in the order of the rows.
    return [f"{letter}{row:06}" for row in rows.tolist()]


@torch.no_grad()
def _model(planted: Planted, dataset: Dataset) -> TrainedPipeline:
    torch.manual_seed(planted.seed)
    encoder = TransformerEncoder(ENCODER, encoder_data_spec(dataset, len(dataset.times)))
    encoder.items.ids.weight.copy_(torch.from_numpy(np.concatenate(list(planted.vectors()))))
    encoder.items.content.weight.zero_()
    for block in encoder.blocks:
        _average(block)
    _identity(encoder.out, 1 / DIMENSION**0.5)
    encoded = Encoded.of(encoder.eval(), HISTORY)
    model = with_untrained_ranker(encoded, dataset, RECIPE)
    towers, linear = model.ranker.towers, model.ranker.linear
    assert isinstance(towers, SharedBackbone)
    nn.init.normal_(towers.out.weight, std=0.1)
    nn.init.normal_(linear.weight, std=0.1)
    return model


def _average(block: nn.Module) -> None:
    """Attends almost evenly to the history, and adds its mean to the latest item."""
    attention = block.attention
    assert isinstance(attention, nn.Module)
    qkv, mix = attention.qkv, attention.mix
    assert isinstance(qkv, nn.Linear)
    assert isinstance(mix, nn.Linear)
    nn.init.normal_(qkv.weight[: 2 * DIMENSION], std=0.02)
    qkv.weight[2 * DIMENSION :] = torch.eye(DIMENSION)
    _identity(mix, 1.0)


def _identity(layer: nn.Linear, scale: float) -> None:
    layer.weight.copy_(torch.eye(DIMENSION) * scale)
    layer.bias.zero_()
