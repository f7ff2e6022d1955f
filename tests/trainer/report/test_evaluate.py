"""The report of an evaluation."""

import json
from pathlib import Path

import pytest

from trainer.__main__ import main


@pytest.mark.usefixtures("determinism")
@pytest.mark.parametrize("protocol", ["next-like", "leave-one-out", "strong-generalisation"])
def test_an_evaluation_writes_a_page_beside_its_figures(
    planted_folder: Path, quick: Path, tmp_path: Path, protocol: str
) -> None:
    """Proves that protocols of one stage and of both give a page, of as many seeds, with the figures of the JSON."""
    report = tmp_path / "out" / "figures.json"
    inputs = ["--recipe", str(quick), "--data", str(planted_folder), "--protocol", protocol]
    assert main(["evaluate", *inputs, "--seeds", "2", "--report", str(report)]) == 0
    page = report.with_suffix(".html").read_text()
    written = json.loads(report.read_text())
    figures = written["figures"]
    for row in figures.values():
        assert f"{row['ndcg@10']['mean']:.4f}" in page
    assert f"<dt>protocol</dt><dd>{protocol}</dd>" in page
    assert "seed 1</li>" in page
    both = protocol != "strong-generalisation"
    assert ('id="index"' in page, "Ranking</h3>" in page, 'id="ranking"' in page) == (False, both, both)
    assert ("attribution" in written, "lightgbm" in figures) == (both, both)
    if both:
        attribution = written["attribution"]
        gains = [run["gain"] for run in attribution["runs"]]
        assert attribution["mean"]["gain"] == pytest.approx(sum(gains) / 2)
        assert gains == pytest.approx(
            [run["two_stage"]["ndcg@10"] / run["retrieval"]["ndcg@10"] - 1 for run in written["runs"]]
        )
