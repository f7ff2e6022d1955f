"""Calibration of log-odds that are known to be wrong."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from trainer.data import Dataset
from trainer.data.history_slices import HistorySlices
from trainer.data.split import Split
from trainer.evaluation.classification import Outcomes, sigmoid
from trainer.models.pipeline import TrainedPipeline
from trainer.models.rankers.calibration import Calibration, calibrate, platt
from trainer.models.rankers.objectives import Objectives
from trainer.protocols.next_like import next_like_task
from trainer.recipe import Recipe
from trainer.training.log import TrainingLog
from trainer.training.ranker.retrieved_examples import RetrievedExamples


def outcomes(logits: NDArray[np.float64], labels: NDArray[np.bool_]) -> Outcomes:
    """Outcomes of one user."""
    return Outcomes(logits=logits.astype(np.float32), labels=labels, users=np.zeros(len(logits), dtype=np.int64))


@pytest.mark.parametrize(("slope", "shift"), [(2.5, 1.0), (0.3, -4.0), (1.0, 0.0)])
def test_a_wrong_slope_and_shift_are_mended(slope: float, shift: float) -> None:
    """Proves that the planted line is found again, from log-odds that it was undone from."""
    random = np.random.default_rng(3)
    right = random.normal(-1, 1.5, 50_000)
    labels = random.random(len(right)) < sigmoid(right)
    found = platt(outcomes((right - shift) / slope, labels))
    assert found.slope == pytest.approx(slope, rel=0.05)
    assert found.shift == pytest.approx(shift, abs=0.08)
    assert found.error_after < 0.01
    assert (slope, shift) == (1.0, 0.0) or found.error_before > 0.05


def test_the_order_is_kept_even_of_what_is_the_wrong_way_round() -> None:
    """Proves that a slope is never negative, nor zero, and that the shift is then the mean's."""
    random = np.random.default_rng(3)
    logits = random.normal(0, 1, 5_000)
    found = platt(outcomes(logits, random.random(len(logits)) < sigmoid(-2 * logits)))
    assert 0 < found.slope < 0.01
    assert abs(found.shift) < 0.1


def test_what_can_be_told_apart_has_a_finite_slope() -> None:
    """Proves that without a single mistake the slope is large and finite, as the labels are drawn to the other side."""
    found = platt(outcomes(np.linspace(-1, 1, 200), np.linspace(-1, 1, 200) > 0))
    assert 1 < found.slope < 1000


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_one_class_alone_says_nothing(share: float) -> None:
    """Proves that an objective which nobody reached on the validation keeps its scale."""
    found = platt(outcomes(np.linspace(-1, 1, 20), np.full(20, share > 0)))
    assert (found.slope, found.shift) == (1.0, 0.0)


def test_a_ranker_says_what_it_was_calibrated_to(fitted: TrainedPipeline, planted: Dataset, split: Split) -> None:
    """Proves that events' columns are mapped and values' are not, that it can be undone, and that no order changes."""
    calibrated = replace(fitted, ranker=copy.deepcopy(fitted.ranker))
    found = Calibration(slope=2.0, shift=-3.0, error_before=0.1, error_after=0.0)
    calibrate(calibrated.ranker, {"like": found})
    ranker, before = calibrated.ranker, fitted.ranker
    torch.testing.assert_close(ranker.scale_G, before.scale_G * torch.tensor([2.0, 1.0]))
    torch.testing.assert_close(ranker.shift_G, before.shift_G * torch.tensor([2.0, 1.0]) + torch.tensor([-3.0, 0.0]))
    np.testing.assert_allclose(found.undone(np.array([5.0], dtype=np.float32)), [4.0])
    profiles = next_like_task(planted, split).test.profiles()
    np.testing.assert_array_equal(calibrated.scores(profiles), fitted.scores(profiles))


def test_training_calibrates_the_ranker_that_is_served(fitted: TrainedPipeline, fitted_log: TrainingLog) -> None:
    """Proves that the log has the event's calibration and not the value's, that the validation's error fell by it, and
    that the ranker carries it."""
    [(name, found)] = fitted_log.calibrations.items()
    assert name == "like"
    assert found.error_after < 0.02 < found.error_before
    assert fitted.ranker.scale_G[0].item() == pytest.approx(found.slope, rel=1e-4)
    assert fitted.ranker.shift_G[0].item() == pytest.approx(found.shift, rel=1e-4)


@pytest.mark.parametrize("count", [5, 50])
def test_lists_are_ones_where_the_objective_came(
    fitted: TrainedPipeline, planted: Dataset, split: Split, recipe: Recipe, count: int
) -> None:
    """Proves that only a liked item among its candidates is a 1, and that every row belongs to its user.

    Items of the history give no row.
    """
    events, objectives = np.arange(split.ranker_end, split.end), Objectives.of(recipe, planted)
    examples = RetrievedExamples.of(
        planted, fitted.encoded, fitted.items, events, objectives, replace(recipe.ranker, candidates=count)
    )

    def columns(places: NDArray[np.int64]) -> NDArray[np.float32]:
        rows = examples.inputs.candidates.rows[places]
        return np.stack([rows, -rows], axis=2).astype(np.float32)

    places = np.arange(len(events))
    [(name, found)] = examples.outcomes(columns, places).items()
    items, histories = len(planted.item_ids), HistorySlices.before(planted, events).listed()
    offered = [min(count, items - len(np.unique(history.rows))) for history in histories]
    assert name == "like"
    assert len(found.logits) == sum(offered)
    assert found.users.tolist() == np.repeat(planted.user_rows[events], offered).tolist()
    expected = [
        (planted.user_rows[event], planted.item_rows[event])
        for event, history, chosen in zip(events, histories, examples.chosen, strict=True)
        if chosen >= 0 and planted.likes[event] and planted.item_rows[event] not in history.rows
    ]
    assert list(zip(found.users[found.labels], found.logits[found.labels].astype(int), strict=True)) == expected
    assert (len(expected) < planted.likes[events].sum()) == (count == 5)
    assert (sum(offered) < count * len(events)) == (count == 50)
