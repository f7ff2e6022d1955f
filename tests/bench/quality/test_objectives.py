"""One model of several objectives beside models of each alone, on planted impressions."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from rich.console import Console

from bench.quality.objectives import alone_with, main, measured
from trainer.__main__ import main as trainer
from trainer.errors import RecipeError
from trainer.progress import ConsoleReporter
from trainer.recipe import Recipe

USERS, ITEMS, SHOWN = 20, 12, 900
RECIPE = """
[impressions]
[items]
categorical = ["genre"]
[objectives.click]
column = "click"
[objectives.like]
column = "like"
loss_weight = 0.5
[split]
column = "part"
[encoder]
name = "gfcf"
dimension = 4
[ranker]
experts = 2
hidden = 8
slices = 2
epochs = 1
batch_size = 128
"""


@pytest.fixture(scope="module", autouse=True)
def as_elsewhere() -> Iterator[None]:
    """PyTorch is as it was when these tests are over; models this small have no use for threads."""
    deterministic, threads = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables, and ``recipe.toml``: a user clicks what is of their genre, and likes some of it."""
    folder, random = tmp_path_factory.mktemp("planted"), np.random.default_rng(3)
    users, items = random.integers(0, USERS, SHOWN), random.integers(0, ITEMS, SHOWN)
    click = random.random(SHOWN) < np.where(users % 3 == items % 3, 0.8, 0.2)
    shown = {"user_id": users, "item_id": items, "timestamp": 1000 + np.arange(SHOWN), "click": click.astype(np.int8)}
    like = (click & (random.random(SHOWN) < 0.5)).astype(np.int8)
    part = np.repeat(["train", "validation", "test"], [500, 150, 250])
    pl.DataFrame({**shown, "like": like, "part": part}).write_parquet(folder / "impressions.parquet")
    done = [(user, item, user + item) for user in range(USERS) for item in range(ITEMS) if user % 3 == item % 3]
    columns = ["user_id", "item_id", "timestamp"]
    pl.DataFrame(done, schema=columns, orient="row").write_parquet(folder / "interactions.parquet")
    genres = pl.DataFrame({"item_id": range(ITEMS), "genre": [f"g{item % 3}" for item in range(ITEMS)]})
    genres.write_parquet(folder / "items.parquet")
    (folder / "recipe.toml").write_text(RECIPE)
    return folder


def test_an_objective_alone_is_all_that_differs(planted: Path) -> None:
    """Proves that beside what the other objectives weigh and the mixture nothing of the recipe changes."""
    recipe = Recipe.read(planted / "recipe.toml")
    expected = recipe.plain()
    expected["objectives"]["click"]["weight"] = 0.0
    expected["ranker"]["experts"] = 1
    assert alone_with("like", recipe).plain() == expected


def test_the_figures_are_those_of_the_trainer(planted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves that the model of all objectives and that of one have exactly the figures that ``trainer evaluate``
    reports of their recipes, LightGBM's among them, and that the file says how it came about."""
    recipe = planted / "recipe.toml"
    one = tmp_path / "one.toml"
    one.write_text(
        RECIPE.replace('column = "click"\n', 'column = "click"\nloss_weight = 0\n').replace(
            "experts = 2", "experts = 1"
        )
    )
    expected = {path.stem: _evaluated(path, planted, tmp_path / "report.json") for path in (recipe, one)}
    monkeypatch.setattr("bench.quality.objectives.BUILD", tmp_path)
    monkeypatch.setattr("sys.argv", ["objectives", str(planted), "--recipe", str(recipe), "--seeds", "2"])
    assert main() == 0
    written = json.loads((tmp_path / f"objectives-{planted.name}.json").read_text())
    assert written["together"]["figures"] == expected["recipe"]["figures"]
    assert written["alone"]["like"]["figures"] == expected["one"]["figures"]
    assert set(written["together"]["figures"]) == {"ranker", "lightgbm"}
    assert {"click/auc", "like/auc"} <= set(written["together"]["figures"]["ranker"])
    assert set(written["alone"]) == {"click", "like"}
    assert written["seeds"] == len(written["together"]["runs"]) == 2
    assert {"seconds", "machine", "command"} <= set(written)


def _evaluated(recipe: Path, data: Path, report: Path) -> dict[str, object]:
    given = ["--recipe", recipe, "--data", data, "--report", report, "--seeds", 2]
    assert trainer(["evaluate", "--protocol", "impressions", *map(str, given)]) == 0
    found: dict[str, object] = json.loads(report.read_text())
    return found


def test_what_is_done_is_kept_when_it_is_stopped(
    planted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proves that each model is written before the next begins, and that an interrupt is no traceback."""
    monkeypatch.setattr("bench.quality.objectives.BUILD", tmp_path)
    monkeypatch.setattr("bench.quality.objectives.ConsoleReporter", _StoppedAt)
    monkeypatch.setattr(
        "sys.argv", ["objectives", str(planted), "--recipe", str(planted / "recipe.toml"), "--seeds", "1"]
    )
    assert main() == 130
    written = json.loads((tmp_path / f"objectives-{planted.name}.json").read_text())
    assert set(written["together"]["figures"]["ranker"]) >= {"click/auc", "like/auc"}
    assert set(written["alone"]) == {"click"}


class _StoppedAt(ConsoleReporter):
    """Somebody presses Ctrl-C as the last model begins."""

    def say(self, text: str) -> None:
        if text == "like alone":
            raise KeyboardInterrupt


def test_one_objective_is_refused(planted: Path) -> None:
    """Proves that hours are not spent on comparing a model with itself."""
    recipe = Recipe.read(planted / "recipe.toml")
    recipe = replace(recipe, objectives={"click": recipe.objectives["click"]})
    with pytest.raises(RecipeError, match="at least two"):
        next(measured(planted, recipe, 1, ConsoleReporter(Console())))
