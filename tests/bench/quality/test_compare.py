"""The quality of two checkouts, compared query by query."""

import numpy as np

from bench.quality.compare import interval


def test_a_difference_that_all_queries_share_has_no_spread() -> None:
    """Proves that the bootstrap is paired: only the differences of the queries count, not their own spread."""
    assert interval(np.full(50, 0.25)) == (0.25, 0.25)


def test_the_interval_is_that_of_a_mean() -> None:
    """Proves the width for a known spread: 1.96 standard errors on each side."""
    differences = np.random.default_rng(1).normal(0.1, 1.0, size=4_000)
    low, high = interval(differences)
    error = 1.96 * differences.std() / np.sqrt(len(differences))
    np.testing.assert_allclose([low, high], differences.mean() + np.array([-error, error]), atol=0.1 * error)
