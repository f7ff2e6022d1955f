"""A run of a few seconds."""

from pathlib import Path

import pytest

from bench.hostile.measure import measure
from tests.support.small_bundle import publish_small_bundle


@pytest.mark.integration
def test_a_short_run_attacks_and_judges(tmp_path: Path) -> None:
    """Proves that the attacks reach real services, that honest calls go on beside them, and that each is judged."""
    bundle = publish_small_bundle(tmp_path / "bundles")
    names = ["half-open-calls", "malformed", "slow-metrics", "stopped-retrieval"]
    result = measure(bundle, tmp_path / "run", names, seconds=3.0, peak=60.0, swaps=0)
    assert [row["attack"] for row in result["attacks"]] == names
    assert all(row["counts"].get("sent", 1) for row in result["attacks"])
    assert result["outcomes"]["answered"] > 60
    assert {verdict["promise"] for verdict in result["verdicts"]} >= {"every process lives", "health ≤ 100 ms: ranking"}
    assert result["passed"] == all(verdict["holds"] for verdict in result["verdicts"])
