"""How well it was foretold what came of impressions, against the definitions written out."""

import numpy as np
import pytest
from numpy.typing import NDArray

from trainer.evaluation.outcomes import auc, figures_of_events, figures_of_values, grouped_auc, log_loss


def by_pairs(scores: NDArray[np.floating], happened: NDArray[np.floating]) -> float:
    """The definition: every pair, half of equal ones counted."""
    with_it, without = scores[happened > 0], scores[happened == 0]
    wins = (with_it[:, None] > without).sum() + 0.5 * (with_it[:, None] == without).sum()
    return float(wins / (len(with_it) * len(without)))


@pytest.fixture
def random() -> np.random.Generator:
    """A seeded generator."""
    return np.random.default_rng(3)


def test_auc_by_hand() -> None:
    """Proves the share of right pairs: of 0.9 and 0.4 over 0.6, 0.4 and 0.1, four are right and one is a tie."""
    scores, happened = np.array([0.9, 0.6, 0.4, 0.4, 0.1]), np.array([1.0, 0.0, 1.0, 0.0, 0.0])
    assert auc(scores, happened) == pytest.approx(4.5 / 6)
    assert auc(-scores, happened) == pytest.approx(1.5 / 6)


def test_auc_equals_its_definition_with_many_ties(random: np.random.Generator) -> None:
    """Proves it on random scores of few values, and that one class alone has nothing to put in order."""
    scores, happened = random.integers(0, 9, 400).astype(np.float32), random.integers(0, 2, 400).astype(np.float32)
    assert auc(scores, happened) == pytest.approx(by_pairs(scores, happened))
    assert auc(scores, np.ones(400)) == 0.5


def test_gauc_is_the_users_mean_by_impressions(random: np.random.Generator) -> None:
    """Proves weights and who counts: users with both outcomes, each by its own pairs alone."""
    users = random.integers(0, 30, 500)
    scores, happened = random.integers(0, 5, 500).astype(np.float64), (random.random(500) < 0.3).astype(np.float64)
    happened[users == 7] = 1.0
    parts = [users == user for user in range(30) if 0 < happened[users == user].mean() < 1]
    expected = np.average([by_pairs(scores[p], happened[p]) for p in parts], weights=[p.sum() for p in parts])
    assert len(parts) < 30
    assert grouped_auc(scores, happened, users) == pytest.approx(expected)


def test_strangers_are_nobodys(random: np.random.Generator) -> None:
    """Proves that impressions without a known user count in the AUC and not in the GAUC."""
    scores, happened = random.random(200), (random.random(200) < 0.5).astype(np.float64)
    users = np.repeat([0, -1], 100)
    found = figures_of_events(scores, happened, users)
    assert found["gauc"] == pytest.approx(by_pairs(scores[:100], happened[:100]))
    assert found["auc"] == pytest.approx(by_pairs(scores, happened))


def test_log_loss_by_hand() -> None:
    """Proves minus the mean logarithm of what was given to what happened, also where a probability rounds to 0."""
    odds = np.log(np.array([0.8 / 0.2, 0.3 / 0.7]))
    assert log_loss(odds, np.array([1.0, 0.0])) == pytest.approx(-(np.log(0.8) + np.log(0.7)) / 2)
    assert log_loss(np.array([-800.0]), np.array([1.0])) == pytest.approx(800.0)


def test_errors_of_values_by_hand() -> None:
    """Proves root mean square and mean absolute error."""
    found = figures_of_values(np.array([1.0, 2.0, 4.0]), np.array([1.0, 4.0, 3.0]))
    assert found == pytest.approx({"rmse": np.sqrt(5 / 3), "mae": 1.0})
