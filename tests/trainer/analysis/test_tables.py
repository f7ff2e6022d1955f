"""Figures of several seeds."""

import pytest

from trainer.analysis.tables import figures_table, mean_and_spread


@pytest.mark.parametrize(("runs", "spread"), [([1.0, 2.0, 3.0], 1.0), ([2.0, 4.0], 2**0.5), ([2.0], 0.0)])
def test_the_spread_is_that_of_a_sample(runs: list[float], spread: float) -> None:
    """Proves the division by one less than there are seeds, for a few stand for all; a single one has none."""
    mean = sum(runs) / len(runs)
    found = mean_and_spread([{"model": {"ndcg@10": run}} for run in runs])
    assert found["model"]["ndcg@10"] == pytest.approx((mean, spread))
    assert ("±" in figures_table(found)) == (len(runs) > 1)
