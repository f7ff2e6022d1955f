"""The page of an evaluation whose answers are predictions and not lists."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.trainer.commands.test_impression_evaluation import tables, write
from tests.trainer.report.conftest import Render
from tests.trainer.report.test_page import Texts, measured
from trainer.__main__ import main
from trainer.analysis.evaluation_result import EvaluationResult
from trainer.recipe import DEFAULT_RECIPE
from trainer.report import PredictionReport
from trainer.report.verdict import verdict

RATINGS = """
[interactions]
file = "interactions.csv"
value = "rating"
[split]
folds = 3
[ratings]
epochs = 2
dimension = 4
"""


def evaluated(recipe: Path, data: Path, protocol: str, report: Path) -> tuple[dict[str, Any], str]:
    """The JSON and the page of two seeds."""
    inputs = ["--recipe", str(recipe), "--data", str(data), "--protocol", protocol]
    assert main(["evaluate", *inputs, "--seeds", "2", "--report", str(report)]) == 0
    return json.loads(report.read_text()), report.with_suffix(".html").read_text()


@pytest.fixture
def of_impressions(tmp_path: Path) -> tuple[dict[str, Any], str]:
    """The figures and the page of planted impressions."""
    write(tmp_path, tables(np.random.default_rng(0), biased=False))
    return evaluated(tmp_path / "recipe.toml", tmp_path, "impressions", tmp_path / "out" / "figures.json")


@pytest.fixture
def of_ratings(planted_folder: Path, tmp_path: Path) -> tuple[dict[str, Any], str]:
    """The figures and the page of planted ratings, in three folds."""
    recipe = tmp_path / "ratings.toml"
    recipe.write_text(RATINGS)
    return evaluated(recipe, planted_folder, "rating", tmp_path / "out" / "figures.json")


def sections(page: str) -> list[str]:
    """The sections of a page, in its order."""
    return re.findall(r'<(?:section|header) id="(\w+)"', page)


@pytest.mark.usefixtures("determinism")
def test_impressions_have_a_page(of_impressions: tuple[dict[str, Any], str]) -> None:
    """Proves that it has the figures of the JSON, of each objective, their reasons, and each seed's training."""
    written, page = of_impressions
    texts = Texts(page).found
    assert sections(page) == ["verdict", "figures", "ranking", "training", "recipe"]
    for row in written["figures"].values():
        assert {f"{figure['mean']:.4f}" for figure in row.values()} <= {text.strip() for text in texts}
    assert {"click AUC", "click log loss", "stars RMSE", "mean AUC"} <= set(texts)
    assert f"{written['attribution']['mean']['objectives']['click']['auc']:.4f}" in {text.strip() for text in texts}
    assert "Calibration of click, in bins of equal size" in texts
    assert "Retrieval" not in texts, "its encoder learns nothing by epochs"
    assert "Ranking" in texts
    assert "<dt>test predictions</dt><dd>800</dd>" in page
    assert re.findall(r'<tr class="ours"><td[^>]*>([^<]*)', page)[0] == "the ranker"


@pytest.mark.usefixtures("determinism")
def test_ratings_have_a_page(of_ratings: tuple[dict[str, Any], str]) -> None:
    """Proves that it has each fold's error beside the mean of all, and marks the smallest as the best."""
    written, page = of_ratings
    assert sections(page) == ["verdict", "figures", "folds", "recipe"]
    of_all = {name: row["rmse"]["mean"] for name, row in written["figures"].items()}
    best = min(of_all, key=lambda name: of_all[name])
    marked = re.findall(r'<td class="best">([0-9.]+)', page.split('id="folds"')[0])
    assert marked[0] == f"{of_all[best]:.4f}"
    for row in written["figures"].values():
        for fold in (1, 2, 3):
            assert f"{row[f'rmse[{fold}]']['mean']:.4f}" in page.split('id="folds"')[1]
    assert "the recipe sets the epochs" in page


@pytest.mark.usefixtures("determinism")
@pytest.mark.parametrize("width", [1280, 420])
def test_a_browser_shows_them(
    of_impressions: tuple[dict[str, Any], str], of_ratings: tuple[dict[str, Any], str], render: Render, width: int
) -> None:
    """Proves that every part of both is laid out on a desk and on a phone."""
    for _, page in (of_impressions, of_ratings):
        seen = measured(page, render, f"--window-size={width},900")
        assert seen["sections"] == sections(page)
        assert seen["wide"] <= 0
        assert seen["requests"] == []


def predicted(chosen_by: str, ours: float, other: float | None) -> EvaluationResult:
    """One seed of a ranker, and beside it of trees."""
    runs = {"ranker": {chosen_by: ours}} | ({} if other is None else {"lightgbm": {chosen_by: other}})
    return EvaluationResult(runs=[runs], chosen_by=chosen_by, tested=1)


@pytest.mark.parametrize(("metric", "more"), [("auc", "good"), ("rmse", "bad"), ("-rmse", "good")])
def test_the_verdict_knows_what_is_better(metric: str, more: str) -> None:
    """Proves that more is better of an AUC, and of an error less."""
    assert verdict(predicted(metric, 0.9, 0.8)).mood == more
    assert verdict(predicted(metric, 0.7, 0.8)).mood == {"good": "bad", "bad": "good"}[more]


def test_without_a_baseline_nothing_is_claimed() -> None:
    """Proves that a page is made where LightGBM is not installed."""
    alone = predicted("auc", 0.9, None)
    said = verdict(alone)
    assert (said.mood, said.headline) == ("even", "Nothing to compare with")
    page = PredictionReport(title="t", facts={}, found=alone, recipe=DEFAULT_RECIPE).html()
    assert "mean AUC of the ranker is 0.9000 (one seed, on the test)." in page
    assert sections(page) == ["verdict", "figures", "recipe"]


def test_a_bar_is_as_long_as_its_figure_is_large() -> None:
    """Proves that none is longer than the table, of figures below zero too."""
    page = PredictionReport(title="t", facts={}, found=predicted("-rmse", -0.5, -1.0), recipe=DEFAULT_RECIPE).html()
    assert re.findall(r"width:([0-9.]+)%", page) == ["50.0", "100.0"]
