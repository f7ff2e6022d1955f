"""`trainer evaluate --protocol rating`: folds, figures, and what it refuses."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from trainer.__main__ import main
from trainer.data import Dataset, load
from trainer.errors import DataError
from trainer.evaluation.regression import figures_of_values
from trainer.experiments.ratings.protocol import rating_folds
from trainer.experiments.ratings.ratings import Ratings
from trainer.recipe import DataRecipe, InteractionsConfig, SplitConfig

Row = tuple[str, str, int, float]
TABLE = "user_id,item_id,timestamp,rating,fold"
RECIPE = """
[interactions]
file = "interactions.csv"
value = "rating"
[split]
folds = 2
[ratings]
dimension = 4
epochs = 20
dropout = 0.1
regularisation = 0.05
history_regularisation = 0.05
"""


def test_errors_of_ratings_by_hand() -> None:
    """Proves both figures: of errors 1, -2 and 2 the mean of squares is 3, the mean of sizes 5 / 3."""
    found = figures_of_values(np.array([2.0, 3.0, 5.0]), np.array([1.0, 5.0, 3.0]))
    assert found == pytest.approx({"rmse": 3**0.5, "mae": 5 / 3})


def test_the_last_rating_of_a_pair_is_meant(dataset_of: Callable[[Sequence[Row]], Dataset]) -> None:
    """Proves that no pair is both learnt from and tested."""
    rows = [("a", "x", 1, 5.0), ("b", "x", 2, 4.0), ("a", "x", 3, 2.0), ("a", "y", 4, 3.0)]
    ratings = Ratings.of(dataset_of(rows))
    assert list(zip(ratings.user_rows, ratings.item_rows, ratings.values, strict=True)) == [
        (1, 0, 4.0),
        (0, 0, 2.0),
        (0, 1, 3.0),
    ]


def test_folds_are_those_of_the_column(tmp_path: Path) -> None:
    """Proves that the published folds are found, whatever the order of the file; each is tested by the others."""
    lines = ["a,x,9,5,10", "a,y,1,4,2", "b,x,5,3,2", "b,y,2,1,1"]
    dataset, recipe = _read(tmp_path, lines, SplitConfig(column="fold"))
    ratings = Ratings.of(dataset)
    folds = rating_folds(dataset, ratings, recipe, tmp_path)
    assert [fold.name for fold in folds] == ["1", "2", "10"]
    assert [ratings.values[fold.test].tolist() for fold in folds] == [[1], [4, 3], [5]]
    assert [ratings.values[fold.learn].tolist() for fold in folds] == [[4, 3, 5], [1, 5], [4, 1, 3]]


def test_without_a_column_folds_are_random_and_even(tmp_path: Path) -> None:
    """Proves that every rating is tested once, in folds of one size that are not blocks of time."""
    lines = [f"u{place % 7},i{place // 7},{place},{place % 5 + 1},1" for place in range(63)]
    dataset, recipe = _read(tmp_path, lines, SplitConfig(folds=3))
    folds = rating_folds(dataset, Ratings.of(dataset), recipe, tmp_path)
    assert [len(fold.test) for fold in folds] == [21, 21, 21]
    assert sorted(np.concatenate([fold.test for fold in folds]).tolist()) == list(range(63))
    assert all(np.ptp(fold.test) > 40 for fold in folds)
    again = rating_folds(dataset, Ratings.of(dataset), recipe, tmp_path)
    np.testing.assert_array_equal(folds[0].test, again[0].test)


@pytest.mark.parametrize(
    ("lines", "split", "said"),
    [
        (["a,x,1,5,1", "b,x,2,3,2"], SplitConfig(column="cv"), "no column 'cv'; columns are"),
        (["a,x,1,5,1", "b,x,2,3,"], SplitConfig(column="fold"), "column 'fold': no fold in 1 of 2 rows; first row 2"),
        (["a,x,1,5,1", "b,x,2,3,1"], SplitConfig(column="fold"), "2 ratings in 1 fold"),
        (
            ["a,x,1,5,1", "b,x,2,3,2", "a,x,4,4,2"],
            SplitConfig(column="fold"),
            "'item_id': 1 of 2 are in several parts of the split; first 'a' and 'x'",
        ),
        (["a,x,1,5,1", "b,x,2,3,2"], SplitConfig(), "2 ratings are fewer than the 5 folds"),
    ],
)
def test_bad_folds_are_refused(tmp_path: Path, lines: list[str], split: SplitConfig, said: str) -> None:
    """Proves the words for each."""
    dataset, recipe = _read(tmp_path, lines, split)
    with pytest.raises(DataError, match=said):
        rating_folds(dataset, Ratings.of(dataset), recipe, tmp_path)


@pytest.mark.usefixtures("determinism")
def test_the_report_has_each_fold_and_their_mean(planted_ratings: Ratings, tmp_path: Path) -> None:
    """Proves the command: figures of two seeds, whose baselines are the same and are beaten."""
    told = zip(planted_ratings.user_rows, planted_ratings.item_rows, planted_ratings.values, strict=True)
    lines = [f"{user},{item},{place},{value},-" for place, (user, item, value) in enumerate(told)]
    (tmp_path / "interactions.csv").write_text("\n".join([TABLE, *lines]) + "\n")
    recipe, report = tmp_path / "ratings.toml", tmp_path / "report.json"
    recipe.write_text(RECIPE)
    inputs = ["--recipe", str(recipe), "--data", str(tmp_path), "--protocol", "rating"]
    assert main(["evaluate", *inputs, "--seeds", "2", "--report", str(report)]) == 0
    written = json.loads(report.read_text())
    assert (written["protocol"], written["seeds"]) == ("rating", 2)
    figures = written["figures"]
    assert set(figures) == {"two_sided", "biases", "mean"}
    for row in figures.values():
        assert row["rmse"]["mean"] == pytest.approx((row["rmse[1]"]["mean"] + row["rmse[2]"]["mean"]) / 2)
    assert figures["mean"]["rmse"]["std"] == 0 < figures["two_sided"]["rmse"]["std"]
    assert figures["two_sided"]["rmse"]["mean"] < min(figures[name]["rmse"]["mean"] for name in ("biases", "mean"))


@pytest.mark.usefixtures("determinism")
def test_interactions_without_values_are_refused(
    planted_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Proves that the message names the key that is missing."""
    recipe = tmp_path / "ratings.toml"
    recipe.write_text('[interactions]\nfile = "interactions.csv"\n')
    inputs = ["--recipe", str(recipe), "--data", str(planted_folder), "--protocol", "rating"]
    assert main(["evaluate", *inputs]) == 2
    assert "[interactions] value names the column of the ratings" in capsys.readouterr().err


def _read(folder: Path, lines: list[str], split: SplitConfig) -> tuple[Dataset, DataRecipe]:
    (folder / "interactions.csv").write_text("\n".join([TABLE, *lines]) + "\n")
    recipe = DataRecipe(interactions=InteractionsConfig(file="interactions.csv", value="rating"), split=split)
    return load(folder, recipe), recipe
