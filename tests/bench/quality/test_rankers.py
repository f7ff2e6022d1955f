"""The rankers' figures over several seeds."""

import pytest

from bench.quality.rankers import summary


@pytest.mark.parametrize(("runs", "spread"), [([1.0, 2.0, 3.0], 1.0), ([2.0], 0.0)])
def test_the_spread_is_that_of_a_sample(runs: list[float], spread: float) -> None:
    """Proves that the spread is the sample's standard deviation, as in all other tables."""
    assert summary([{"gain": run} for run in runs]) == {"gain": {"mean": 2.0, "std": pytest.approx(spread)}}
