"""The metrics, by hand."""

import numpy as np
import pytest

from trainer.metrics import hit_rate, ndcg, places_of, report

PLACES = np.array([0, 2, 9, 10, 250])


def test_the_hit_rate_counts_the_places_before_k() -> None:
    """Proves that the place k itself, which is the item k + 1, is no hit."""
    assert hit_rate(PLACES, 10) == 3 / 5
    assert hit_rate(PLACES, 11) == 4 / 5


def test_ndcg_discounts_by_the_logarithm_of_the_place() -> None:
    """Proves the gains 1, 1/2 and 1/log2(11), and none beyond k."""
    assert ndcg(PLACES, 10) == pytest.approx((1 + 1 / 2 + 1 / np.log2(11)) / 5)


def test_a_report_has_the_three_figures() -> None:
    """Proves what each name in a report stands for."""
    expected = {"hr@10": 3 / 5, "ndcg@10": ndcg(PLACES, 10), "recall@200": 4 / 5}
    assert report(PLACES) == pytest.approx(expected)


def test_of_equal_scores_the_lower_row_is_first() -> None:
    """Proves that a constant scorer gets no credit: the target's place among equals is that of its row."""
    scores = np.array([[1.0, 1.0, 1.0], [0.5, 2.0, 0.5], [3.0, 1.0, 2.0], [0.0, -np.inf, -np.inf]])
    assert places_of(scores, np.array([2, 2, 2, 1])).tolist() == [2, 2, 1, 1]
