"""The gate that a new bundle passes before it replaces the served one."""

import json
import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

import trainer
from shortlist.bundle import BundleStore
from shortlist.bundle.manifest import MANIFEST, Manifest
from tests.shortlist.bundle.fake import OLDER, publish
from trainer.__main__ import main
from trainer.analysis.measurement import gain_of_ranking
from trainer.errors import RecipeError
from trainer.evaluation.metrics import Rankings
from trainer.export.publish import check_metric, compare, decide, metrics_of
from trainer.recipe import (
    DEFAULT_RECIPE,
    ImpressionsConfig,
    InteractionsConfig,
    ObjectiveConfig,
    PublishConfig,
    Recipe,
    SplitConfig,
)

SHIPPED = sorted((Path(trainer.__path__[0]) / "recipes").glob("*.toml"))
NAME = "validation/two_stage/ndcg@10"
CLICKS = replace(
    DEFAULT_RECIPE, impressions=ImpressionsConfig(), objectives={"click": ObjectiveConfig(column="clicked")}
)
STARS = replace(
    DEFAULT_RECIPE, impressions=ImpressionsConfig(), objectives={"stars": ObjectiveConfig(kind="value", column="stars")}
)


@pytest.fixture
def served(tmp_path: Path) -> Callable[..., Path]:
    """From a validation figure and a recipe to a directory whose current bundle says so."""

    def make(figure: float | None, recipe: Recipe | None = None) -> Path:
        publish(tmp_path, OLDER)
        metrics = {"two_stage/ndcg@10": 0.9} | ({} if figure is None else {NAME: figure})
        manifest = Manifest.read(tmp_path / OLDER)
        plain = asdict(recipe or DEFAULT_RECIPE)
        replace(manifest, metrics=metrics, recipe=plain).write(tmp_path / OLDER)
        return tmp_path

    return make


def _with_metrics(root: Path, metrics: Mapping[str, float]) -> None:
    """The same bundle with other figures."""
    replace(Manifest.read(root / OLDER), metrics=metrics).write(root / OLDER)


@pytest.mark.parametrize(
    ("found", "worse"), [(0.12, False), (0.1, False), (0.0951, False), (0.0949, True), (0.0, True), (math.nan, True)]
)
def test_a_bundle_may_be_worse_by_the_margin(served: Callable[..., Path], found: float, worse: bool) -> None:
    """Proves the rule at its edge: 5 % below 0.1 is 0.095; NaN is worse than any number."""
    assert compare(served(0.1), {NAME: found}, DEFAULT_RECIPE).worse == worse


def test_what_is_worse_is_said_with_both_figures(served: Callable[..., Path]) -> None:
    """Proves that the line has the metric, both figures, their difference, the bundle and the margin."""
    decision = decide(served(0.1), {NAME: 0.08}, DEFAULT_RECIPE, asked=True, force=False)
    assert decision.refused
    assert not decision.publish
    assert decision.text == f"{NAME} is 0.0800, 20.0% below the 0.1000 of {OLDER}, and [publish] margin allows 5.0%"


def test_who_insists_publishes_and_it_is_written_down(served: Callable[..., Path]) -> None:
    """Proves that force moves the pointer and says against what; without need it leaves no mark."""
    worse = decide(served(0.1), {NAME: 0.08}, DEFAULT_RECIPE, asked=True, force=True)
    assert worse.publish
    assert worse.forced == f"{NAME} is 0.0800, 20.0% below the 0.1000 of {OLDER}"
    assert decide(served(0.1), {NAME: 0.2}, DEFAULT_RECIPE, asked=True, force=True).forced == ""


@pytest.mark.parametrize(
    ("figure", "recipe", "told"),
    [
        (None, DEFAULT_RECIPE, f"{OLDER} has no {NAME}"),
        (math.nan, DEFAULT_RECIPE, f"{OLDER} has no {NAME}"),
        (0.9, replace(DEFAULT_RECIPE, split=SplitConfig(test=0.2)), "another [split]"),
        (0.9, replace(DEFAULT_RECIPE, interactions=InteractionsConfig(file="other.csv")), "other [interactions]"),
    ],
)
def test_what_cannot_be_compared_never_blocks(
    served: Callable[..., Path], figure: float | None, recipe: Recipe, told: str
) -> None:
    """Proves that a bundle of an older release, or of another question, is replaced, with a line that says why."""
    decision = decide(served(figure, recipe), {NAME: 0.1}, DEFAULT_RECIPE, asked=True, force=False)
    assert decision.publish
    assert told in decision.text


def test_a_damaged_bundle_is_replaced(served: Callable[..., Path]) -> None:
    """Proves that a manifest nobody can read does not keep a whole bundle out."""
    root = served(0.9)
    (root / OLDER / MANIFEST).write_text("{")
    assert decide(root, {NAME: 0.1}, DEFAULT_RECIPE, asked=True, force=False).publish


def test_a_release_before_the_section_is_compared(served: Callable[..., Path]) -> None:
    """Proves that a recipe in a manifest may lack newer keys."""
    root = served(0.9)
    path = root / OLDER / MANIFEST
    raw = json.loads(path.read_text())
    del raw["recipe"]["publish"], raw["forced"]
    path.write_text(json.dumps(raw))
    assert decide(root, {NAME: 0.1}, DEFAULT_RECIPE, asked=True, force=False).refused


def test_only_the_first_is_served_unasked(served: Callable[..., Path], tmp_path: Path) -> None:
    """Proves that a fit without the flag serves nothing new, but that the first one needs no flag."""
    assert decide(tmp_path / "empty", {NAME: 0.1}, DEFAULT_RECIPE, asked=False, force=False).publish
    decision = decide(served(0.1), {NAME: 0.9}, DEFAULT_RECIPE, asked=False, force=False)
    assert (decision.publish, decision.refused) == (False, False)
    assert OLDER in decision.text


@pytest.mark.parametrize(
    ("recipe", "first"),
    [(DEFAULT_RECIPE, "two_stage/ndcg@10"), (CLICKS, "two_stage/auc"), (STARS, "two_stage/-rmse")],
    ids=["lists", "events", "values"],
)
def test_an_unknown_metric_is_refused_before_training(recipe: Recipe, first: str) -> None:
    """Proves that the recipe's message names what there is, and that what another kind of data has is not there."""
    for metric in metrics_of(recipe):
        check_metric(replace(recipe, publish=PublishConfig(metric=metric)))
    for other in {"auc", "two_stage/ndcg@10", "two_stage/auc", "two_stage/-rmse"} - {first}:
        with pytest.raises(RecipeError, match=rf"\[publish\] metric: no '{other}'; there are {first}, retrieval/hr@10"):
            check_metric(replace(recipe, publish=PublishConfig(metric=other)))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_no_shipped_recipe_is_refused_for_its_metric(path: Path) -> None:
    """Proves that where none is stated there is one for the kind of data."""
    check_metric(Recipe.read(path))


@pytest.mark.parametrize(("recipe", "metric"), [(CLICKS, "two_stage/auc"), (STARS, "two_stage/-rmse")])
def test_without_a_stated_metric_it_is_that_of_the_data(
    served: Callable[..., Path], recipe: Recipe, metric: str
) -> None:
    """Proves that a ranker of impressions is compared by the metric that judges it."""
    root, name = served(None, recipe), f"validation/{metric}"
    _with_metrics(root, {name: 0.8})
    assert decide(root, {name: 0.7}, recipe, asked=True, force=False).refused
    assert decide(root, {name: 0.8}, recipe, asked=True, force=False).publish


@pytest.mark.parametrize(("found", "worse"), [(-0.9, False), (-1.049, False), (-1.051, True), (-math.inf, True)])
def test_an_error_may_grow_by_the_margin(served: Callable[..., Path], found: float, worse: bool) -> None:
    """Proves the rule where the higher figure is the one nearer to zero: 5 % below -1 is -1.05."""
    root, name = served(None, STARS), "validation/two_stage/-rmse"
    _with_metrics(root, {name: -1.0})
    compared = compare(root, {name: found}, STARS)
    assert compared.worse == worse
    assert f"{'above' if found > -1 else 'below'} the -1.0000 of" in compared.text


OTHER_OBJECTIVES = {"click": ObjectiveConfig(column="clicked"), "share": ObjectiveConfig(column="shared")}


@pytest.mark.parametrize(
    ("recipe", "told"),
    [
        (replace(CLICKS, objectives=OTHER_OBJECTIVES), "other [objectives]"),
        (replace(CLICKS, impressions=ImpressionsConfig(file="other.parquet")), "other [impressions]"),
        (
            replace(CLICKS, objectives=OTHER_OBJECTIVES, split=SplitConfig(test=0.2)),
            "another [split] and other [objectives]",
        ),
    ],
)
def test_other_objectives_are_another_question(served: Callable[..., Path], recipe: Recipe, told: str) -> None:
    """Proves that a mean over some objectives is not compared with a mean over others."""
    root, name = served(None, recipe), "validation/two_stage/auc"
    _with_metrics(root, {name: 0.9})
    decision = decide(root, {name: 0.7}, CLICKS, asked=True, force=False)
    assert decision.publish
    assert decision.text.endswith(f"nothing to compare with: {OLDER} has {told}")


@pytest.mark.parametrize(
    ("recipe", "metric"),
    [
        (
            replace(CLICKS, objectives={"tap": ObjectiveConfig(column="clicked", loss_weight=2), **STARS.objectives}),
            "two_stage/auc",
        ),
        (replace(CLICKS, impressions=ImpressionsConfig(categorical=("device",), position="place")), "two_stage/auc"),
        (replace(CLICKS, objectives=OTHER_OBJECTIVES), "retrieval/hr@10"),
    ],
    ids=["weights, names and values", "context", "retrieval"],
)
def test_what_asks_the_same_is_compared(served: Callable[..., Path], recipe: Recipe, metric: str) -> None:
    """Proves that weights, names, context and objectives outside the figure open no way round the rule."""
    root, name = served(None, recipe), f"validation/{metric}"
    _with_metrics(root, {name: 0.9})
    stated = replace(CLICKS, publish=PublishConfig(metric=metric))
    assert decide(root, {name: 0.7}, stated, asked=True, force=False).refused


def test_objectives_of_lists_are_not_what_they_are_judged_by(served: Callable[..., Path]) -> None:
    """Proves that lists are of likes, whatever is learnt beside."""
    root = served(
        0.9, replace(DEFAULT_RECIPE, objectives={"like": ObjectiveConfig(), "value": ObjectiveConfig(kind="value")})
    )
    assert decide(root, {NAME: 0.1}, DEFAULT_RECIPE, asked=True, force=False).refused


@pytest.mark.usefixtures("determinism", "empty_graphs")
def test_a_fit_that_is_worse_ends_with_three_and_is_not_served(
    exported: Path, planted_folder: Path, quick: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Proves the whole way: the bundle is written whole, CURRENT stays, the code is 3; forced, it moves.

    The last lines are the verdict, the places of page and figures, and the next command.
    """
    root = tmp_path / "bundles"
    shutil.copytree(exported.parent, root)
    manifest = Manifest.read(root / exported.name)
    replace(manifest, metrics={NAME: 0.99}).write(root / exported.name)
    fit = ["fit", "--recipe", str(quick), "--data", str(planted_folder), "--out", str(root), "--publish"]
    assert main(fit) == 3
    store = BundleStore(root)
    assert store.current_id() == exported.name
    [written] = set(store.ids()) - {exported.name}
    new = Manifest.read(root / written)
    new.verify(root / written)
    assert set(metrics_of(DEFAULT_RECIPE)) <= {
        name.removeprefix("validation/") for name in new.metrics if name.startswith("validation/")
    }
    assert {"report.html", "report.json"} <= new.files.keys()
    figures = json.loads((root / written / "report.json").read_text())
    assert figures["two_stage"]["ndcg@10"] == new.metrics["two_stage/ndcg@10"]
    verdict, place, refusal = capsys.readouterr().err.splitlines()[-3:]
    assert verdict.startswith(figures["verdict"]["headline"])
    assert place == f"wrote {root / written}, with the page report.html and its figures in report.json"
    assert refusal.startswith(f"not published: {NAME} is {new.metrics[NAME]:.4f}")
    assert f"shortlist bundles pin {written}" in refusal
    assert main([*fit, "--force"]) == 0
    assert store.current_id() not in {exported.name, written}
    *_, place, decision, following = capsys.readouterr().err.splitlines()
    assert place.startswith(f"wrote {root / store.current_id()}")
    assert decision.startswith(f"{store.current_id()}: published, as forced")
    assert following.startswith(f"next: `python -m retrieval_service --bundles {root}`")
    assert Manifest.read(store.current()).forced.startswith(f"{NAME} is ")


def test_force_alone_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Proves that the flag does not go unheard."""
    with pytest.raises(SystemExit) as stopped:
        main(["fit", "--recipe", "r", "--data", "d", "--out", "o", "--force"])
    assert stopped.value.code == 2
    assert "--force: needs --publish" in capsys.readouterr().err


GAIN = {"two_stage/ndcg@10": 0.04, "retrieval/ndcg@10": 0.08, "stages/ndcg@10_gain": -0.04}


@pytest.mark.parametrize(("interval", "asked"), [(0.03, False), (0.03, True), (0.05, True), (math.nan, True)])
def test_two_stages_that_lose_to_one_are_not_served(tmp_path: Path, interval: float, asked: bool) -> None:
    """Proves that even the first bundle needs force when the loss is beyond chance, and that both figures are said."""
    metrics = {**GAIN, "stages/ndcg@10_gain_interval": interval}
    decision = decide(tmp_path, metrics, DEFAULT_RECIPE, asked=asked, force=False)
    loses = interval < 0.04
    assert (decision.publish, decision.refused) == (not loses, loses)
    assert ("nDCG@10 of 0.0400, and retrieval alone has 0.0800" in decision.text) == loses
    forced = decide(tmp_path, metrics, DEFAULT_RECIPE, asked=True, force=True)
    assert (forced.publish, bool(forced.forced)) == (True, loses)


def test_an_order_by_values_alone_is_not_judged_by_its_likes(tmp_path: Path) -> None:
    """Proves that a list of the best predicted ratings is served, although other items are liked next."""
    metrics = {**GAIN, "stages/ndcg@10_gain_interval": 0.01}
    assert decide(tmp_path, metrics, STARS, asked=True, force=False).publish
    assert decide(tmp_path, metrics, CLICKS, asked=True, force=False).refused


def test_the_gain_of_the_second_stage_has_an_interval() -> None:
    """Proves the gain on planted places, Student's interval, and that one query has none."""
    lists = {"retrieval": Rankings.of_places(np.zeros(4, dtype=np.int64), 10)}
    lists["two_stage"] = Rankings.of_places(np.array([0, 0, 20, 20]), 10)
    found = gain_of_ranking(lists)
    assert found["ndcg@10_gain"] == -0.5
    assert found["ndcg@10_gain_interval"] == pytest.approx(3.1824 * np.std([0, 0, 1, 1], ddof=1) / 2, rel=1e-4)
    alone = gain_of_ranking({name: one.at(np.array([3])) for name, one in lists.items()})
    assert math.isnan(alone["ndcg@10_gain_interval"])


LOSS = {
    "two_stage/ndcg@10": 0.04,
    "cooccurrence/ndcg@10": 0.09,
    "itemknn/ndcg@10": 0.08,
    "strongest_baseline/ndcg@10_gain": -0.05,
    "strongest_baseline/ndcg@10_gain_interval": 0.03,
}


@pytest.mark.parametrize("asked", [False, True])
def test_a_first_bundle_that_loses_to_a_baseline_is_not_served(tmp_path: Path, asked: bool) -> None:
    """Proves that it takes force, that the strongest baseline is named, and that force leaves a record."""
    decision = decide(tmp_path, LOSS, DEFAULT_RECIPE, asked=asked, force=False)
    assert (decision.publish, decision.refused) == (False, True)
    assert "the strongest baseline, cooccurrence, has 0.0900" in decision.text
    assert "worse by 0.0500, where chance explains 0.0300" in decision.text
    forced = decide(tmp_path, LOSS, DEFAULT_RECIPE, asked=True, force=True)
    assert forced.publish
    assert "the strongest baseline, cooccurrence, has 0.0900" in forced.forced


@pytest.mark.parametrize("interval", [0.06, math.nan])
def test_a_loss_to_a_baseline_that_may_be_chance_is_served(tmp_path: Path, interval: float) -> None:
    """Proves that a small test does not keep the first bundle out."""
    metrics = {**LOSS, "strongest_baseline/ndcg@10_gain_interval": interval}
    assert decide(tmp_path, metrics, DEFAULT_RECIPE, asked=False, force=False).publish


def test_a_better_bundle_follows_one_that_also_loses_to_a_baseline(served: Callable[..., Path]) -> None:
    """Proves that baselines hold back the first bundle alone: later ones have to beat the served one."""
    assert decide(served(0.1), {NAME: 0.2, **LOSS}, DEFAULT_RECIPE, asked=True, force=False).publish


@pytest.mark.parametrize("recipe", [CLICKS, STARS])
def test_a_ranker_with_another_aim_is_not_held_to_a_baseline(tmp_path: Path, recipe: Recipe) -> None:
    """Proves that a ranker of impressions, whose aim is no nDCG, is served."""
    assert decide(tmp_path, LOSS, recipe, asked=False, force=False).publish
