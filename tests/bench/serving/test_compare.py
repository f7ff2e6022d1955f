"""The figures of two checkouts, compared over rounds."""

import pytest

from bench.serving.compare import Figures, summary


def _rounds(*cpu_us: float) -> list[Figures]:
    return [{"cpu_us": one, "p50_ms": 2.0} for one in cpu_us]


def test_the_ratio_is_taken_within_rounds() -> None:
    """Proves that drift which hits both checkouts of a round alike leaves the ratio and its interval alone."""
    found = summary({(16, "this"): _rounds(110, 220, 550), (16, "other"): _rounds(100, 200, 500)})
    assert found["16"]["cpu_us"] == pytest.approx(
        {"this": 220, "other": 200, "ratio": 1.1, "ratio_low": 1.1, "ratio_high": 1.1}
    )
    assert found["16"]["p50_ms"]["ratio"] == 1.0


def test_the_interval_widens_with_the_spread_of_the_ratios() -> None:
    """Proves that rounds that disagree give no narrow interval."""
    noisy = summary({(1, "this"): _rounds(100, 110, 120, 130, 140), (1, "other"): _rounds(*[100] * 5)})["1"]["cpu_us"]
    assert noisy["ratio"] == pytest.approx(1.2)
    assert noisy["ratio_low"] < 1.15
    assert noisy["ratio_high"] > 1.25
