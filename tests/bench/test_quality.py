"""What the table of docs/quality.md is made of."""

from pathlib import Path

import pytest

from bench.quality import Row, rows
from trainer.evaluation.baselines import BASELINES
from trainer.protocols import PROTOCOLS
from trainer.recipe import Recipe


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.data)
def test_a_row_names_what_there_is(row: Row) -> None:
    """Proves that a measurement of hours does not end at a misspelt recipe, protocol or baseline."""
    assert row.protocol in PROTOCOLS
    assert not row.baseline or row.baseline in BASELINES
    assert len(row.must) == len(row.metrics)
    assert len(row.aim) in {0, len(row.metrics)}
    Recipe.read(Path("trainer") / "recipes" / f"{row.recipe}.toml")
