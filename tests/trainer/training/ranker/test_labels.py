"""Objectives whose labels have one class."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.trainer.commands.test_impression_evaluation import RECIPE, run_of, tables, write
from trainer.errors import DataError
from trainer.models.rankers.objectives import Objectives
from trainer.progress import Reporter
from trainer.recipe import ObjectiveConfig
from trainer.training.ranker.labels import check_learnt

BOTH, ZEROS, ONES, UNSEEN = [0.0, 1.0], [0.0, 0.0], [1.0, 1.0], [np.nan, np.nan]


def objectives(**weights: float) -> Objectives:
    """Event objectives by weight, and the value objective ``stars``, which orders nothing."""
    events = {name: ObjectiveConfig(column=name, weight=weight) for name, weight in weights.items()}
    return Objectives.declared({**events, "stars": ObjectiveConfig(kind="value", column="stars", weight=0)})


def targets(*columns: list[float]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """The labels of two examples."""
    return np.array(columns, dtype=np.float32).T


@pytest.mark.parametrize(("column", "told"), [(ZEROS, "always 0"), (ONES, "always 1"), (UNSEEN, "never observed")])
def test_an_order_that_cannot_be_learnt_is_refused_by_name(column: list[float], told: str) -> None:
    """Proves that the objective with the weight counts, whether or not others could be learnt."""
    with pytest.raises(DataError, match=rf"\[objectives.click\] is {told} in 2 training examples"):
        check_learnt(objectives(click=1, buy=0), targets(column, BOTH, [1, 5]), Reporter())


def test_an_objective_that_says_nothing_is_warned_of_by_name() -> None:
    """Proves it of an event and of a value where another objective still orders the lists."""
    reporter = Reporter()
    check_learnt(objectives(click=1, buy=1), targets(BOTH, ZEROS, [3, 3]), reporter)
    assert [text.split(" in ")[0] for text in reporter.warnings] == [
        "[objectives.buy] is always 0",
        "[objectives.stars] is always 3",
    ]


def test_an_event_that_always_happens_is_learnt_from_the_other_candidates() -> None:
    """Proves that data without impressions, where all that is done counts, is neither refused nor warned of."""
    reporter = Reporter()
    check_learnt(objectives(like=1), targets(ONES, [1, 5]), reporter, contrasted=True)
    assert reporter.warnings == ()
    with pytest.raises(DataError, match="like"):
        check_learnt(objectives(like=1), targets(ZEROS, [1, 5]), reporter, contrasted=True)


def test_a_part_with_one_class_has_no_auc(tmp_path: Path) -> None:
    """Proves that a click logger that broke before the validation gives no figure and two warnings, not an AUC of 0."""
    frames = dict(tables(np.random.default_rng(1), biased=False))
    broken = pl.when(pl.col("part") == "train").then("clicked").otherwise(0).cast(pl.Int8)
    frames["impressions"] = frames["impressions"].with_columns(clicked=broken)
    reporter = Reporter()
    run = run_of(tmp_path, write(tmp_path, frames, RECIPE.replace("epochs = 5", "epochs = 4")), reporter)
    assert len(run.log.ranker) == 4
    assert np.isnan([run.figures()["auc"], *(line["auc"] for line in run.log.ranker)]).all()
    assert [text for text in reporter.warnings if "no AUC" in text] == [
        "[objectives.click] is always 0 in 400 examples of the ranker's validation: it has no AUC",
        "[objectives.click] is always 0 in 800 examples of the test: it has no AUC",
    ]
