"""Planted data, whose right answer is known, and what the trainer makes of it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from shortlist.bundle.store import BundleStore
from tests.support.once import once
from trainer.data import Dataset, load
from trainer.data.split import Split, evaluation_split
from trainer.export.bundle import export_bundle
from trainer.features.statistics import item_tables
from trainer.models.pipeline import TrainedPipeline
from trainer.progress import Reporter
from trainer.recipe import DataRecipe, IndexConfig, InteractionsConfig, Recipe
from trainer.training.log import TrainingLog
from trainer.training.two_stage import fit_two_stage

Row = tuple[str, str, int, float]

_RECIPE = """
[interactions]
file = "interactions.csv"
value = "rating"
positive_value = 4
[items]
file = "items.csv"
categorical = ["genre"]
[users]
file = "users.csv"
categorical = ["country"]
[split]
ranker = 0.3
refit = false
[objectives.like]
[objectives.value]
kind = "value"
[encoder]
dimension = 16
history = 16
epochs = 16
batch_events = 200
learning_rate = 0.01
dropout = 0.1
spectral_scale = 0.3
[ranker]
candidates = 40
history = 8
slices = 2
hidden = 16
epochs = 6
batch_size = 16
learning_rate = 0.005
"""
_GENRES, _CHAIN, _USERS, _EVENTS = 4, 15, 120, 14


@pytest.fixture(scope="session")
def reporter() -> Reporter:
    """A reporter that is silent."""
    return Reporter()


@pytest.fixture(scope="session")
def planted_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables and a `recipe.toml`: each user walks one of four chains of 15 items, which is the item's genre.

    Rows are `genre * 15 + place`. The next item of the chain follows with probability 0.85, any other item else; the
    own genre is rated 5 and the others 2.
    """
    folder = tmp_path_factory.mktemp("planted")
    random = np.random.default_rng(7)
    lines = [line for user in range(_USERS) for line in _walk(user, random)]
    (folder / "interactions.csv").write_text("\n".join(["user_id,item_id,timestamp,rating", *lines]) + "\n")
    items = [f"i{row:02},genre{row // _CHAIN}" for row in range(_GENRES * _CHAIN)]
    (folder / "items.csv").write_text("\n".join(["item_id,genre", *items]) + "\n")
    users = [f"u{user:03},{'de' if user % 2 else 'fr'}" for user in range(_USERS)]
    (folder / "users.csv").write_text("\n".join(["user_id,country", *users]) + "\n")
    (folder / "recipe.toml").write_text(_RECIPE)
    return folder


def _walk(user: int, random: np.random.Generator) -> list[str]:
    genre, place, start = user % _GENRES, int(random.integers(_CHAIN)), int(random.integers(5000))
    lines, seen = list[str](), set[int]()
    while len(lines) < _EVENTS:
        own = random.random() < 0.85
        item = genre * _CHAIN + place % _CHAIN if own else int(random.integers(_GENRES * _CHAIN))
        place += own
        if item in seen and len(seen) < _GENRES * _CHAIN:
            place += item // _CHAIN == genre
            item = int(random.choice([row for row in range(_GENRES * _CHAIN) if row not in seen]))
        seen.add(item)
        rating = 5 if item // _CHAIN == genre else 2
        lines.append(f"u{user:03},i{item:02},{start + 60 * len(lines)},{rating}")
    return lines


@pytest.fixture(scope="session")
def recipe(planted_folder: Path) -> Recipe:
    """A recipe that trains in seconds."""
    return Recipe.read(planted_folder / "recipe.toml")


@pytest.fixture
def empty_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bundles get empty ONNX files, for tests of everything else: to trace a model takes ten seconds."""
    for export in ("export_encoder", "export_ranker"):
        monkeypatch.setattr(f"trainer.export.bundle.{export}", lambda model, path, *_: path.touch())
    monkeypatch.setattr("trainer.export.new_items.export_item_encoder", lambda encoder, features, path: path.touch())


@pytest.fixture
def quick(planted_folder: Path, tmp_path: Path) -> Path:
    """The recipe with one epoch a stage, in a file of the test's own."""
    text = (planted_folder / "recipe.toml").read_text()
    path = tmp_path / "quick.toml"
    path.write_text(text.replace("epochs = 16", "epochs = 1").replace("epochs = 6", "epochs = 1"))
    return path


@pytest.fixture
def determinism() -> Iterator[None]:
    """The commands ask PyTorch for it; no other test shall depend on that."""
    before = torch.are_deterministic_algorithms_enabled()
    yield
    torch.use_deterministic_algorithms(before)


@pytest.fixture(scope="session")
def planted(planted_folder: Path, recipe: Recipe) -> Dataset:
    """The planted tables, loaded."""
    return load(planted_folder, recipe)


@pytest.fixture(scope="session")
def split(planted: Dataset, recipe: Recipe) -> Split:
    """The planted data's slices."""
    return evaluation_split(planted, recipe.split)


@pytest.fixture(scope="session")
def fitting(planted: Dataset, split: Split, recipe: Recipe, reporter: Reporter) -> tuple[TrainedPipeline, TrainingLog]:
    """Both stages, fitted on the planted data, and the log of their training."""
    return fit_two_stage(planted, split, recipe, seed=0, reporter=reporter)


@pytest.fixture(scope="session")
def fitted(fitting: tuple[TrainedPipeline, TrainingLog]) -> TrainedPipeline:
    """Both stages, fitted on the planted data."""
    return fitting[0]


@pytest.fixture(scope="session")
def fitted_log(fitting: tuple[TrainedPipeline, TrainingLog]) -> TrainingLog:
    """The log of that training."""
    return fitting[1]


@pytest.fixture(scope="session")
def final(fitted: TrainedPipeline, planted: Dataset) -> TrainedPipeline:
    """The fitted model over tables counted from all of the data, with an approximate index that visits every list."""
    counted = item_tables(
        planted, len(planted.times), fitted.recipe.statistics, fitted.encoded.vectors, fitted.encoded.inputs
    )
    items = replace(counted, value_mean=fitted.items.value_mean, value_std=fitted.items.value_std)
    recipe = replace(fitted.recipe, index=IndexConfig(spec="IVF4,Flat", parameters="nprobe=4"))
    return replace(fitted, items=items, recipe=recipe)


@pytest.fixture(scope="session")
def exported(final: TrainedPipeline, planted: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the final model, alone in its directory of bundles; to be read only."""

    def make(folder: Path) -> None:
        export_bundle(final, planted, {"two_stage": {"ndcg@10": 0.5}}, folder)

    return BundleStore(once(tmp_path_factory, "exported", make)).current()


@pytest.fixture
def dataset_of(tmp_path: Path) -> Callable[[Sequence[Row]], Dataset]:
    """From rows (user, item, time, value) to a dataset in which a value of 4 or more is a like."""
    interactions = InteractionsConfig(file="interactions.csv", value="value", positive_value=4)

    def make(rows: Sequence[Row]) -> Dataset:
        lines = [",".join(str(cell) for cell in row) for row in rows]
        text = "\n".join(["user_id,item_id,timestamp,value", *lines]) + "\n"
        (tmp_path / "interactions.csv").write_text(text)
        return load(tmp_path, DataRecipe(interactions=interactions))

    return make
