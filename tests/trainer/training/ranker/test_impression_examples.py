"""A ranker's losses and figures on impressions, by hand."""

import numpy as np
import pytest
import torch

from trainer.data.context import Context
from trainer.data.impressions import Impressions
from trainer.models.rankers.objectives import Objectives
from trainer.recipe import ObjectiveConfig
from trainer.training.ranker.examples import RankerInputs
from trainer.training.ranker.impression_examples import ImpressionExamples, figures_of_impressions

OBJECTIVES = Objectives.declared(
    {
        "click": ObjectiveConfig(column="click"),
        "stars": ObjectiveConfig(kind="value", column="stars", loss_weight=0.5),
    }
)
TARGETS = np.array([[1, 4], [0, np.nan], [np.nan, 2], [0, 2], [1, np.nan]], dtype=np.float32)


@pytest.fixture
def shown() -> Impressions:
    """Five impressions of two users and an unknown one; missing targets were not observed."""
    return Impressions(
        places=np.arange(5),
        user_rows=np.array([0, 0, 1, -1, 0]),
        item_rows=np.arange(5),
        times=np.arange(5),
        positions=np.full(5, -1),
        targets=TARGETS,
        context=Context.none(5),
        objectives=("click", "stars"),
        is_value=np.array([False, True]),
        unknown_items=0,
    )


@pytest.fixture
def examples(shown: Impressions) -> ImpressionExamples:
    """Examples without inputs."""
    nothing: RankerInputs = None  # type: ignore[assignment]
    objectives = OBJECTIVES.scaled_to_impressions(shown)
    return ImpressionExamples(inputs=nothing, objectives=objectives, targets=shown.targets, impressions=shown)


def test_an_objective_starts_from_its_mean(shown: Impressions) -> None:
    """Proves the log-odds of the mean rate, and the scale of the values, over the observed targets."""
    click, stars = OBJECTIVES.scaled_to_impressions(shown)
    assert (click.is_value, stars.is_value) == (False, True)
    assert click.mean == pytest.approx(0.0)
    assert (stars.mean, stars.std) == pytest.approx((8 / 3, np.std([4, 2, 2])))


def test_the_loss_is_of_what_was_observed(examples: ImpressionExamples) -> None:
    """Proves cross-entropy and squared error in standard deviations, each a mean over its own rows, weighted."""
    _, stars = examples.objectives
    columns = torch.tensor([[0.5, 3.0], [1.0, 9.0], [9.0, 2.0], [-2.0, 2.5], [0.0, 9.0]])[:, None]
    columns.requires_grad_()
    loss = examples.loss(columns, np.arange(5))
    softplus = np.logaddexp(0, [-0.5, 1.0, -2.0, 0.0]).mean()
    squares = np.square((np.array([3.0, 2.0, 2.5]) - [4, 2, 2]) / stars.std).mean()
    assert loss.item() == pytest.approx(softplus + 0.5 * squares, rel=1e-5)
    loss.backward()  # type: ignore[no-untyped-call]
    assert columns.grad is not None
    wrong = np.array([[1, 1], [1, 0], [0, 0], [1, 1], [1, 0]], dtype=np.bool_)
    np.testing.assert_array_equal(columns.grad[:, 0].numpy() != 0, wrong)


def test_figures_by_hand(shown: Impressions) -> None:
    """Proves each figure on the observed targets: of six pairs of clicks, and of one user's own."""
    columns = np.array([[2.0, 3.0], [1.0, 0.0], [9.0, 2.0], [3.0, 2.5], [0.0, 0.0]], dtype=np.float32)
    found = figures_of_impressions(columns, shown)
    assert found["click/auc"] == found["auc"] == pytest.approx(1 / 4)
    assert found["click/gauc"] == pytest.approx(1 / 2)
    assert found["click/logloss"] == pytest.approx(np.logaddexp(0, [-2.0, 1.0, 3.0, 0.0]).mean())
    assert found["stars/rmse"] == pytest.approx(np.sqrt((1 + 0 + 0.25) / 3))
    assert found["stars/mae"] == pytest.approx(0.5)


def test_without_events_the_error_decides(shown: Impressions) -> None:
    """Proves that the higher figure is then the smaller error."""
    values = shown.__class__(
        **{**vars(shown), "targets": TARGETS[:, 1:], "objectives": ("stars",), "is_value": np.array([True])}
    )
    found = figures_of_impressions(np.full((5, 1), 2.0, dtype=np.float32), values)
    assert found["-rmse"] == -found["stars/rmse"] == pytest.approx(-np.sqrt(4 / 3))


def test_what_was_observed_calibrates(examples: ImpressionExamples) -> None:
    """Proves that the outcomes are of events alone, in the order of the places, without those not observed."""
    said = np.arange(10, dtype=np.float32).reshape(5, 1, 2)
    found = examples.outcomes(lambda places: said[places], np.array([4, 2, 0]))
    assert list(found) == ["click"]
    assert found["click"].logits.tolist() == [8, 0]
    assert found["click"].labels.tolist() == [True, True]
    assert found["click"].users.tolist() == [0, 0]
