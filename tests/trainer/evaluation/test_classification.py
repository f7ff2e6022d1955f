"""Metrics of probabilities, on rows few enough to count."""

import numpy as np
import pytest
from numpy.typing import NDArray

from trainer.evaluation.classification import auc, calibration_curve, calibration_error, gauc, log_loss, sigmoid


def logit(*probabilities: float) -> NDArray[np.float64]:
    """Log-odds."""
    given = np.array(probabilities)
    return np.asarray(np.log(given / (1 - given)))


def test_auc_counts_the_pairs_in_order() -> None:
    """Proves it by hand: of the six pairs four are in order and one is equal."""
    logits, labels = np.array([0.1, 0.2, 0.2, 0.3, 0.0]), np.array([0, 1, 0, 1, 1])
    assert auc(logits, labels) == pytest.approx((1 + 0.5 + 2 + 0) / 6)
    assert auc(logits * 7 - 3, labels) == pytest.approx(auc(logits, labels))
    assert np.isnan(auc(logits, np.ones(5)))
    assert np.isnan(auc(np.zeros(0), np.zeros(0)))


def test_auc_is_that_of_all_pairs() -> None:
    """Proves it with many ties against every pair looked at."""
    random = np.random.default_rng(0)
    logits, labels = random.integers(0, 9, 300).astype(np.float32), random.random(300) < 0.3
    above, below = logits[labels][:, None], logits[~labels]
    assert auc(logits, labels) == pytest.approx(((above > below) + 0.5 * (above == below)).mean())


def test_gauc_weighs_each_user_by_their_rows() -> None:
    """Proves it by hand: of one user's 2 pairs one is in order, the other's 1 is, and the third has only ones."""
    users = np.array([7, 3, 7, 3, 7, 5, 5, 5, 5])
    logits = np.array([2.0, 1.0, 1.0, 9.0, 3.0, 1.0, 2.0, 3.0, 4.0])
    labels = np.array([1, 0, 0, 1, 0, 1, 1, 1, 1])
    assert gauc(logits, labels, users) == pytest.approx((3 * 0.5 + 2 * 1.0) / 5)
    assert np.isnan(gauc(logits[5:], labels[5:], users[5:]))


def test_log_loss_is_of_what_came() -> None:
    """Proves the value by hand, and that it stays finite where a probability is 1."""
    assert log_loss(logit(0.8, 0.4), np.array([1, 0])) == pytest.approx(-(np.log(0.8) + np.log(0.6)) / 2)
    assert log_loss(np.array([800.0]), np.array([0])) == pytest.approx(800.0)


def test_calibration_is_by_bins_of_as_many_rows() -> None:
    """Proves two bins by hand."""
    logits, labels = logit(0.6, 0.1, 0.9, 0.2), np.array([1, 0, 0, 1])
    curve = calibration_curve(logits, labels, bins=2)
    np.testing.assert_allclose(curve.predicted, [0.15, 0.75])
    np.testing.assert_allclose(curve.observed, [0.5, 0.5])
    assert curve.counts.tolist() == [2, 2]
    assert curve.error == pytest.approx((0.35 + 0.25) / 2)


def test_equal_probabilities_are_in_one_bin() -> None:
    """Proves that a constant that is right has no error, however the rows are ordered."""
    assert calibration_error(np.zeros(100), np.repeat([0, 1], 50)) == pytest.approx(0.0)


def test_calibrated_probabilities_have_hardly_an_error() -> None:
    """Proves it on labels drawn from them, and that other ones have the error that was planted."""
    random = np.random.default_rng(0)
    logits = random.normal(-2, 1, 200_000)
    labels = random.random(len(logits)) < sigmoid(logits)
    assert calibration_error(logits, labels) < 0.005
    assert calibration_error(logits + 1, labels) > 0.05
