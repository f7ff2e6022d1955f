"""One model of several objectives beside models of one objective each, on planted impressions."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

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
    """Restores PyTorch's determinism after these tests."""
    deterministic = torch.are_deterministic_algorithms_enabled()
    yield
    torch.use_deterministic_algorithms(deterministic)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables, and ``recipe.toml``: users click items of their genre, and like some of them."""
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


def test_a_recipe_of_one_objective_differs_in_nothing_else(planted: Path) -> None:
    """Proves that only the other objectives' loss weights and the number of experts change."""
    recipe = Recipe.read(planted / "recipe.toml")
    expected = recipe.plain()
    expected["objectives"]["click"]["loss_weight"] = 0.0
    expected["ranker"]["experts"] = 1
    assert alone_with("like", recipe).plain() == expected


@pytest.fixture(scope="module")
def written(planted: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The contents of the result's file as each model's turn begins, and at the end of the command."""
    folder, found = tmp_path_factory.mktemp("result"), list[dict[str, Any]]()
    path = folder / f"objectives-{planted.name}.json"

    class Watching(ConsoleReporter):
        def say(self, text: str) -> None:
            if text.endswith((" together", " alone")):
                found.append(json.loads(path.read_text()) if path.exists() else {})

    with pytest.MonkeyPatch.context() as patch:
        assert _run(planted, folder, Watching, patch) == 0
    return [*found, json.loads(path.read_text())]


def test_the_figures_are_those_of_the_trainer(planted: Path, written: list[dict[str, Any]], tmp_path: Path) -> None:
    """Proves that the model of all objectives has exactly the figures of ``trainer evaluate``, LightGBM included."""
    report = tmp_path / "report.json"
    given = ["--recipe", planted / "recipe.toml", "--data", planted, "--report", report, "--seeds", 1]
    assert trainer(["evaluate", "--protocol", "impressions", *map(str, given)]) == 0
    result = written[-1]
    assert result["together"]["figures"] == json.loads(report.read_text())["figures"]
    assert set(result["together"]["figures"]) == {"ranker", "lightgbm"}
    assert result["seeds"] == len(result["together"]["runs"]) == 1
    assert {"seconds", "machine", "command"} <= set(result)


def test_each_model_is_written_before_the_next_begins(written: list[dict[str, Any]]) -> None:
    """Proves that a stopped run keeps its models, and that each has the figures of its objectives."""
    assert [list(found.get("alone", ())) for found in written] == [[], [], ["click"], ["click", "like"]]
    assert not written[0]
    result = written[-1]
    assert {"click/auc", "like/auc"} <= set(result["together"]["figures"]["ranker"])
    assert all(f"{name}/auc" in alone["figures"]["ranker"] for name, alone in result["alone"].items())


def test_an_interrupt_ends_the_command_with_130(planted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves that Ctrl-C gives no traceback."""

    class Stopped(ConsoleReporter):
        def say(self, text: str) -> None:
            raise KeyboardInterrupt

    assert _run(planted, tmp_path, Stopped, monkeypatch) == 130


def _run(planted: Path, build: Path, reporter: type[ConsoleReporter], patch: pytest.MonkeyPatch) -> int:
    patch.setattr("bench.quality.objectives.BUILD", build)
    patch.setattr("bench.quality.objectives.ConsoleReporter", reporter)
    patch.setattr("sys.argv", ["objectives", str(planted), "--recipe", str(planted / "recipe.toml"), "--seeds", "1"])
    return main()


def test_one_objective_is_refused(planted: Path) -> None:
    """Proves that a model is not compared with itself."""
    recipe = Recipe.read(planted / "recipe.toml")
    recipe = replace(recipe, objectives={"click": recipe.objectives["click"]})
    with pytest.raises(RecipeError, match="at least two"):
        next(measured(planted, recipe, 1, ConsoleReporter(Console())))
