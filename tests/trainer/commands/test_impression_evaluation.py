"""A ranker by itself, on planted impressions whose right answer is known."""

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import polars as pl
import pytest
import torch
from numpy.typing import NDArray

from trainer.__main__ import main
from trainer.data import Dataset, load
from trainer.errors import DataError, RecipeError
from trainer.features.layout import STATISTICS
from trainer.jobs.impression_evaluation import RankerRun, evaluate_impressions
from trainer.jobs.inputs import read_inputs
from trainer.progress import Reporter
from trainer.protocols.impressions import impressions
from trainer.recipe import Recipe

T = TypeVar("T")
USERS, ITEMS, GENRES, SHOWN, BEGIN = 40, 24, 4, 4000, 10_000
RECIPE = """
[impressions]
categorical = ["device"]
position = "position"
[items]
categorical = ["genre"]
[objectives.click]
column = "clicked"
[objectives.stars]
kind = "value"
column = "stars"
loss_weight = 0.1
[split]
column = "part"
[encoder]
name = "gfcf"
dimension = 8
history = 20
[ranker]
history = 8
slices = 2
hidden = 16
embedding = 4
epochs = 5
batch_size = 128
learning_rate = 0.01
dropout = 0
"""


def tables(random: np.random.Generator, *, biased: bool) -> Mapping[str, pl.DataFrame]:
    """A user clicks items of their genre, on a phone more than on a television, and rates them high.

    Their earlier interactions are with their genre. With ``biased``, a click is likelier the higher the position, and
    bad items are shown at the top.
    """
    users, items = random.integers(0, USERS, SHOWN), random.integers(0, ITEMS, SHOWN)
    phone, same_genre = random.random(SHOWN) < 0.5, users % GENRES == items % GENRES
    quality = np.linspace(-1.5, 1.5, ITEMS)
    positions = random.integers(0, 10, SHOWN)
    odds = np.where(same_genre, 1.5, -1.5) + np.where(phone, 0.7, -0.7)
    if biased:
        positions = np.clip(np.round(3 * quality[items] + 4.5 + random.normal(0, 2, SHOWN)), 0, 9).astype(np.int64)
        odds = quality[items] + 2.0 - 0.6 * positions
    clicked = random.random(SHOWN) < 1 / (1 + np.exp(-odds))
    shown = pl.DataFrame(
        {
            "user_id": [f"u{user:02}" for user in users],
            "item_id": [f"i{item:02}" for item in items],
            "timestamp": BEGIN + np.arange(SHOWN),
            "device": np.where(phone, "phone", "tv"),
            "position": positions,
            "clicked": clicked.astype(np.int8),
            "stars": np.where(clicked, np.where(same_genre, 5.0, 3.0), np.nan),
            "part": np.repeat(["train", "validation", "test"], [2800, 400, 800]),
        }
    )
    walks = [(user, int(random.integers(ITEMS // GENRES)) * GENRES + user % GENRES) for user in range(USERS)] * 8
    done = pl.DataFrame(
        {
            "user_id": [f"u{user:02}" for user, _ in walks],
            "item_id": [f"i{(item + GENRES * (place // USERS)) % ITEMS:02}" for place, (_, item) in enumerate(walks)],
            "timestamp": np.arange(len(walks)),
        }
    )
    names = [f"i{item:02}" for item in range(ITEMS)]
    return {
        "impressions": shown,
        "interactions": done,
        "items": pl.DataFrame({"item_id": names, "genre": [f"g{item % GENRES}" for item in range(ITEMS)]}),
    }


def write(folder: Path, frames: Mapping[str, pl.DataFrame], recipe: str = RECIPE) -> Recipe:
    """The tables and ``recipe.toml``, which is returned."""
    for name, frame in frames.items():
        frame.write_parquet(folder / f"{name}.parquet")
    (folder / "recipe.toml").write_text(recipe)
    return Recipe.read(folder / "recipe.toml")


def run_of(folder: Path, recipe: Recipe, reporter: Reporter) -> RankerRun:
    """A run on a folder's tables."""
    dataset = load(folder, recipe)
    return RankerRun(dataset, impressions(dataset, recipe, folder), recipe, 0, reporter)


def said(run: RankerRun) -> NDArray[np.float32]:
    """Its logits of the test's impressions, ``[n, G]``."""
    examples = run.test()
    return run.trained.predict(examples.inputs, np.arange(len(examples.targets)))[:, 0]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tables without a bias of the place."""
    folder = tmp_path_factory.mktemp("shown")
    write(folder, tables(np.random.default_rng(1), biased=False))
    return folder


@pytest.fixture(scope="module")
def run(planted: Path, reporter: Reporter) -> RankerRun:
    """A run on them."""
    return run_of(planted, Recipe.read(planted / "recipe.toml"), reporter)


def test_what_was_planted_is_learnt(run: RankerRun) -> None:
    """Proves that context and taste predict clicks almost as well as possible, and stars too.

    The best possible AUC is 0.814, the best log loss 0.473.
    """
    found = run.figures()
    assert list(found) == ["auc", "click/auc", "click/gauc", "click/logloss", "stars/rmse", "stars/mae"]
    assert found["click/auc"] > 0.79
    assert found["click/gauc"] > 0.79
    assert found["click/logloss"] < 0.49
    assert found["stars/rmse"] < 0.5
    assert found["auc"] == found["click/auc"]


def test_the_given_validation_decides(planted: Path, reporter: Reporter, tmp_path: Path) -> None:
    """Proves, for a run that overfits before its patience ends, that the best epoch of the validation is kept.

    Its weights give the figures of that epoch again.
    """
    text = RECIPE.replace("epochs = 5", "epochs = 20").replace("learning_rate = 0.01", "learning_rate = 0.05")
    frames = {name: pl.read_parquet(planted / f"{name}.parquet") for name in ("impressions", "interactions", "items")}
    # Serving leaves the position bias out, while the figures of an epoch include it.
    run = run_of(tmp_path, write(tmp_path, frames, text.replace('position = "position"\n', "")), reporter)
    training, curve = run.training, [line["auc"] for line in run.log.ranker]
    best = int(np.argmax(curve))
    assert len(curve) == best + 3 < 20
    assert training.late.tolist() == list(range(2800, 3200))
    again = training.examples.figures(training.logits_of(run.trained), training.late)
    # The calibration of events comes between them, and by rounding tells a pair apart, or no more.
    for name, least in {"auc": 1e-4, "stars/rmse": 1e-6, "stars/mae": 1e-6}.items():
        assert again[name] == pytest.approx(run.log.ranker[best][name], abs=least)
        assert all(again[name] != pytest.approx(line[name], abs=least) for line in run.log.ranker[best + 1 :])


def test_the_test_does_not_change_what_is_said_of_it(
    planted: Path, run: RankerRun, reporter: Reporter, tmp_path: Path
) -> None:
    """Proves that no label of the test, nor anything that was done after it began, is looked at before the end."""
    frames = {name: pl.read_parquet(planted / f"{name}.parquet") for name in ("impressions", "interactions", "items")}
    is_test = pl.col("part") == "test"
    flipped = pl.when(is_test).then(1 - pl.col("clicked")).otherwise(pl.col("clicked"))
    rated = pl.when(is_test).then(1.0).otherwise(pl.col("stars"))
    frames["impressions"] = frames["impressions"].with_columns(clicked=flipped, stars=rated)
    late = frames["interactions"].head(40).with_columns(timestamp=pl.lit(BEGIN + SHOWN, pl.Int64))
    frames["interactions"] = pl.concat([frames["interactions"], late])
    recipe = write(tmp_path, frames)
    np.testing.assert_array_equal(said(run_of(tmp_path, recipe, reporter)), said(run))


def test_what_is_held_out_changes_nothing_where_parts_are_not_by_time(
    planted: Path, reporter: Reporter, tmp_path: Path
) -> None:
    """Proves that outcomes of test impressions enter no training feature, even where these come first in time.

    With other outcomes, every loss, figure, weight and calibration is unchanged, and so are the logits of the test. The
    outcomes of the validation do not change the losses either.
    """
    frames = {name: pl.read_parquet(planted / f"{name}.parquet") for name in ("impressions", "interactions", "items")}
    parts = np.random.default_rng(5).choice(["train", "validation", "test"], SHOWN, p=[0.6, 0.2, 0.2])
    parts[:300], parts[300:600] = "test", "validation"
    shown = frames["impressions"].with_columns(part=pl.Series(parts))
    text = RECIPE.replace("epochs = 5", "epochs = 2")

    def run_with(*turned: str) -> RankerRun:
        is_turned = pl.col("part").is_in(turned)
        clicked = pl.when(is_turned).then(1 - pl.col("clicked")).otherwise(pl.col("clicked"))
        stars = pl.when(is_turned).then(1.0).otherwise(pl.col("stars"))
        turned_too = {"impressions": shown.with_columns(clicked=clicked, stars=stars)}
        return run_of(tmp_path, write(tmp_path, {**frames, **turned_too}, text), reporter)

    run, tested, decided = run_with(), run_with("test"), run_with("validation")
    assert tested.log == run.log
    weights = run.trained.ranker.state_dict() | run.trained.id_embeddings.state_dict()
    again = tested.trained.ranker.state_dict() | tested.trained.id_embeddings.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in again.items())
    np.testing.assert_array_equal(said(tested), said(run))
    np.testing.assert_array_equal(
        tested.training.examples.inputs.items.features, run.training.examples.inputs.items.features
    )
    losses, others = ([line["loss"] for line in one.log.ranker] for one in (run, decided))
    assert losses == others
    assert run.log.ranker != decided.log.ranker


def test_the_order_learnt_is_that_without_the_place(tmp_path: Path, reporter: Reporter) -> None:
    """Proves that serving leaves the position bias out, where bad items are clicked because they are at the top.

    A ranker without positions learns the wrong order.
    """
    recipe = write(tmp_path, tables(np.random.default_rng(2), biased=True), RECIPE.replace("epochs = 5", "epochs = 12"))
    assert recipe.impressions is not None
    untold = replace(recipe, impressions=replace(recipe.impressions, position=None))
    found = {name: _order(tmp_path, one, reporter) for name, one in (("told", recipe), ("untold", untold))}
    assert found["told"] > 0.5
    assert found["untold"] < -0.5


def _order(folder: Path, recipe: Recipe, reporter: Reporter) -> float:
    run = run_of(folder, recipe, reporter)
    rows = run.test().impressions.item_rows
    means = np.bincount(rows, weights=said(run)[:, 0], minlength=ITEMS) / np.bincount(rows, minlength=ITEMS)
    return float(np.corrcoef(means, np.arange(ITEMS))[0, 1])


TIMELESS = RECIPE.replace('name = "gfcf"', 'name = "none"').replace(
    "[impressions]", "[interactions]\nrows_in_order = true\n[impressions]"
)


def test_without_times_an_impression_does_not_see_what_came_of_it(tmp_path: Path, reporter: Reporter) -> None:
    """Proves that coins stay coins: with the click in the history of its own impression, that would say the label."""
    _assert_coins(tmp_path, reporter, ["train"])


def test_without_times_no_part_sees_what_came_of_it(tmp_path: Path, reporter: Reporter) -> None:
    """Proves the same where interactions hold the outcomes of the validation and of the test."""
    run = _assert_coins(tmp_path, reporter, ["train", "validation", "test"])
    tested, training = run.test().inputs, run.training.examples.inputs
    assert not tested.items.features[:, len(STATISTICS) :][:, :3].any()
    for inputs in (tested, training):
        assert inputs.point_in_time is not None
        assert (inputs.point_in_time.items == inputs.point_in_time.items[0]).all()
        assert not inputs.point_in_time.users.any()
        assert not inputs.candidates.item_item.any()


def _assert_coins(tmp_path: Path, reporter: Reporter, parts: list[str]) -> RankerRun:
    random = np.random.default_rng(4)
    frames = dict(tables(random, biased=False))
    toss = random.integers(0, 2, SHOWN)
    pairs = np.stack([np.arange(SHOWN) % USERS, random.integers(0, ITEMS, SHOWN)], axis=1)
    frames["impressions"] = frames["impressions"].with_columns(
        clicked=pl.Series(toss),
        user_id=pl.Series([f"u{user:02}" for user in pairs[:, 0]]),
        item_id=pl.Series([f"i{item:02}" for item in pairs[:, 1]]),
    )
    clicked = pl.col("part").is_in(parts) & (pl.col("clicked") == 1)
    frames["interactions"] = frames["impressions"].filter(clicked).select("user_id", "item_id")
    recipe = write(tmp_path, frames, TIMELESS)
    run = run_of(tmp_path, recipe, reporter)
    assert abs(run.figures()["click/auc"] - 0.5) < 0.07
    assert abs(max(line["auc"] for line in run.log.ranker) - 0.5) < 0.1
    return run


def _few(folder: Path, clicked: list[int | None]) -> Recipe:
    """Eight impressions without times and the recipe of their one objective; interactions are those clicked, and one
    more, of another user."""
    shown = pl.DataFrame(
        {
            "user_id": ["u"] * 7 + ["v"],
            "item_id": ["a", "a", "b", "b", "b", "c", "c", "a"],
            "clicked": clicked,
            "part": ["train", "train", "train", "train", "test", "train", "test", "validation"],
        }
    )
    stars = '[objectives.stars]\nkind = "value"\ncolumn = "stars"\nloss_weight = 0.1\n'
    text = TIMELESS.replace(stars, "").replace('categorical = ["device"]\nposition = "position"\n', "")
    items = pl.DataFrame({"item_id": ["a", "b", "c"], "genre": ["x", "y", "z"]})
    clicks = shown.filter(pl.col("clicked") == 1).select("user_id", "item_id")
    interactions = pl.concat([clicks, pl.DataFrame({"user_id": ["v"], "item_id": ["a"]})])
    return write(folder, {"impressions": shown, "interactions": interactions, "items": items}, text)


def test_without_times_an_item_is_known_by_another_impression_that_is_learnt_from(
    tmp_path: Path, reporter: Reporter
) -> None:
    """Proves which impressions of one user have their item in their history.

    Neither their own click puts it there nor a click of the test. A click of the training does for all others.
    """
    recipe = _few(tmp_path, [1, 0, 1, 1, 0, 0, 1, 1])
    run = run_of(tmp_path, recipe, reporter)
    learnt, tested = run.training.examples.inputs.histories, run.test().inputs.histories
    assert [sorted(one.rows.tolist()) for one in learnt.at(np.arange(6)).listed()] == [
        [1, 2],
        [0, 1, 2],
        [0, 1, 2],
        [0, 1, 2],
        [0, 1],
        [],
    ]
    assert [sorted(one.rows.tolist()) for one in tested.at(np.arange(2)).listed()] == [[0, 1, 2], [0, 1]]


def test_too_little_to_learn_from_is_refused(tmp_path: Path, reporter: Reporter) -> None:
    """Proves the messages for a part without observed targets, and for a training with only one."""
    recipe = _few(tmp_path, [1, 0, 1, 1, 0, 0, 1, None])
    with pytest.raises(DataError, match=r"no impression of the validation part has .* to choose its epoch by; fill"):
        run_of(tmp_path, recipe, reporter)
    recipe = _few(tmp_path, [None, None, None, None, 0, None, 1, 1])
    with pytest.raises(DataError, match=r"no impression of the train part has .* to learn from; fill"):
        run_of(tmp_path, recipe, reporter)
    recipe = _few(tmp_path, [1, None, None, None, 0, None, 1, 1])
    split = impressions(dataset := load(tmp_path, recipe), recipe, tmp_path)
    with pytest.raises(
        DataError, match=r"of 5 examples, the ranker can learn from 1, and needs two .*\[split\] ranker"
    ):
        RankerRun(dataset, replace(split, deciding=split.deciding[:0]), recipe, 0, reporter)


def test_the_command_reports_mean_and_spread(planted: Path, tmp_path: Path) -> None:
    """Proves that the report has the form of the other protocols, with the figures of each objective.

    Boosted trees on the same features are beside the ranker, and learn the planted answer.
    """
    report, recipe = tmp_path / "report.json", tmp_path / "short.toml"
    recipe.write_text(RECIPE.replace("epochs = 5", "epochs = 1"))
    given = ["--recipe", recipe, "--data", planted, "--report", report]
    assert main(["evaluate", "--protocol", "impressions", "--seeds", "2", *map(str, given)]) == 0
    written = json.loads(report.read_text())
    assert (written["protocol"], written["seeds"], len(written["runs"])) == ("impressions", 2, 2)
    assert written["figures"]["lightgbm"]["click/auc"]["mean"] > 0.79
    assert written["figures"]["lightgbm"]["stars/rmse"]["mean"] < 0.5
    runs = [one["ranker"]["click/auc"] for one in written["runs"]]
    assert written["figures"]["ranker"]["click/auc"]["mean"] == pytest.approx(np.mean(runs))
    assert written["figures"]["ranker"]["click/auc"]["std"] == pytest.approx(abs(runs[0] - runs[1]) / 2**0.5)
    rests_on = written["attribution"]["mean"]
    assert rests_on["importance_of"] == "auc"
    # The genre that a user clicks is in the history, and after one epoch all that was learnt.
    assert rests_on["importance"]["history"] > 0.02
    assert rests_on["objectives"]["click"]["auc"] == pytest.approx(written["figures"]["ranker"]["click/auc"]["mean"])
    assert rests_on["objectives"]["click"]["calibration_error"]["calibrated"] < 0.08


def test_the_first_stage_sees_nothing_of_the_test_where_parts_are_not_by_time(
    planted: Path, reporter: Reporter, tmp_path: Path
) -> None:
    """Proves that events since the beginning of the test do not choose the encoder's epoch.

    Without these events, every figure of its epochs is unchanged.
    """
    frames = {name: pl.read_parquet(planted / f"{name}.parquet") for name in ("impressions", "interactions", "items")}
    parts = np.random.default_rng(5).choice(["train", "test"], SHOWN)
    parts[: SHOWN // 4], parts[SHOWN // 4] = "train", "test"
    shown = frames["impressions"] = frames["impressions"].with_columns(part=pl.Series(parts))
    early = pl.col("timestamp") < BEGIN + SHOWN // 4
    clicks = shown.filter(pl.col("clicked") == 1).select("user_id", "item_id", "timestamp")
    frames["interactions"] = pl.concat([frames["interactions"], clicks], how="vertical_relaxed")
    text = RECIPE.replace("epochs = 5", "epochs = 1")
    logs = []
    for interactions in (frames["interactions"], frames["interactions"].filter(early)):
        recipe = write(tmp_path, {**frames, "interactions": interactions}, text)
        logs.append(run_of(tmp_path, recipe, reporter).log.encoder)
    assert 0 < logs[0][0]["ndcg@10"] < 1
    assert logs[0] == logs[1]


class _Heard(Reporter):
    """Keeps the messages."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def say(self, text: str) -> None:
        """See Reporter."""
        self.said.append(text)


@pytest.mark.usefixtures("determinism")
def test_impressions_that_are_left_out_are_told_of(tmp_path: Path) -> None:
    """Proves that the log counts the impressions of unknown items, and those that are left."""
    frames, reporter = dict(tables(np.random.default_rng(0), biased=False)), _Heard()
    of_unknown = pl.when(pl.col("item_id") == "i03").then(pl.lit("x")).otherwise("item_id").alias("item_id")
    frames["impressions"] = frames["impressions"].with_columns(of_unknown)
    count = int((frames["impressions"]["item_id"] == "x").sum())
    write(tmp_path, frames)
    read_inputs(Recipe.read(tmp_path / "recipe.toml"), tmp_path, reporter)
    assert reporter.said[-1] == f"read {SHOWN - count:,} impressions; left out {count} of unknown items"


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        ("ModuleNotFoundError('no lightgbm')", "install the extra baselines"),
        ("OSError('libgomp.so.1: cannot open')", "libgomp.so.1: cannot open; install OpenMP's runtime, libgomp1"),
    ],
)
def test_trees_that_cannot_be_loaded_are_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: str, told: str
) -> None:
    """Proves that without LightGBM or its library, the ranker is measured alone and a message says what to install."""
    (tmp_path / "lightgbm.py").write_text(f"raise {raised}")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "lightgbm", raising=False)
    recipe, reporter = _few(tmp_path, [1, 0, 1, 1, 0, 0, 1, 1]), _Heard()
    [figures] = evaluate_impressions(load(tmp_path, recipe), recipe, tmp_path, 1, reporter).runs
    assert list(figures) == ["ranker"]
    assert any(told in text for text in reporter.said)


@pytest.fixture
def dataset(planted: Path) -> Dataset:
    """The planted tables, loaded."""
    return load(planted, Recipe.read(planted / "recipe.toml"))


def test_without_a_column_the_latest_are_the_test(dataset: Dataset, planted: Path) -> None:
    """Proves the recipe's share."""
    recipe = Recipe.read(planted / "recipe.toml")
    split = impressions(dataset, replace(recipe, split=replace(recipe.split, column=None, test=0.25)), planted)
    assert (len(split.learn), len(split.deciding), split.test.tolist()) == (3000, 0, list(range(3000, 4000)))


def test_what_cannot_be_split_is_refused(dataset: Dataset, planted: Path) -> None:
    """Proves the messages: no impressions, a column of other words, neither times nor a column."""
    recipe = Recipe.read(planted / "recipe.toml")
    with pytest.raises(RecipeError, match=r"\[impressions\]: is missing"):
        impressions(replace(dataset, impressions=None), recipe, planted)
    with pytest.raises(DataError, match="'device': none of train, validation"):
        impressions(dataset, replace(recipe, split=replace(recipe.split, column="device")), planted)
    timeless = replace(recipe, interactions=replace(recipe.interactions, rows_in_order=True))
    with pytest.raises(RecipeError, match=r"\[split\] column: is missing"):
        impressions(dataset, replace(timeless, split=replace(recipe.split, column=None)), planted)


def test_an_encoder_needs_something_before_the_impressions(planted: Path, tmp_path: Path, reporter: Reporter) -> None:
    """Proves that data without times is refused unless the recipe says that there is no first stage."""
    frames = {name: pl.read_parquet(planted / f"{name}.parquet") for name in ("impressions", "interactions", "items")}
    recipe = write(tmp_path, frames, TIMELESS.replace('name = "none"', 'name = "gfcf"'))
    with pytest.raises(RecipeError, match=r"\[encoder\] name: must be none"):
        run_of(tmp_path, recipe, reporter)
