"""The report of an evaluation."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from trainer.__main__ import main


@pytest.fixture(autouse=True)
def determinism() -> Iterator[None]:
    """The command asks PyTorch for it; no other test shall depend on that."""
    before = torch.are_deterministic_algorithms_enabled()
    yield
    torch.use_deterministic_algorithms(before)


@pytest.mark.parametrize("protocol", ["next-like", "strong-generalisation"])
def test_an_evaluation_writes_a_page_beside_its_figures(planted_folder: Path, tmp_path: Path, protocol: str) -> None:
    """Proves that protocols of one stage and of both give a page, of as many seeds, with the figures of the JSON."""
    recipe, report = tmp_path / "quick.toml", tmp_path / "out" / "figures.json"
    text = (planted_folder / "recipe.toml").read_text()
    recipe.write_text(text.replace("epochs = 16", "epochs = 2").replace("epochs = 6", "epochs = 1"))
    inputs = ["--recipe", str(recipe), "--data", str(planted_folder), "--protocol", protocol]
    assert main(["evaluate", *inputs, "--seeds", "2", "--report", str(report)]) == 0
    page = report.with_suffix(".html").read_text()
    figures = json.loads(report.read_text())["figures"]
    for row in figures.values():
        assert f"{row['ndcg@10']['mean']:.4f}" in page
    assert f"<dt>protocol</dt><dd>{protocol}</dd>" in page
    assert "seed 1</li>" in page
    assert ('id="index"' in page, "Ranking</h3>" in page) == (False, protocol == "next-like")
