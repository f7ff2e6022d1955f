"""What the table of docs/quality.md is made of."""

import json
from pathlib import Path

import pytest

from bench import quality
from bench.quality import Row, rows
from bench.quality_table import line
from trainer.evaluation.baselines import BASELINES
from trainer.predictions import PREDICTIONS
from trainer.protocols import PROTOCOLS
from trainer.recipe import Recipe


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row.data}, {row.protocol}")
def test_a_row_names_what_there_is(row: Row) -> None:
    """Proves that a measurement of hours does not end at a misspelt recipe, protocol or baseline."""
    assert row.protocol in {*PROTOCOLS, *PREDICTIONS}
    assert not row.baseline or row.baseline in {*BASELINES, "retrieval"}
    assert len(row.must) == len(row.metrics)
    assert len(row.aim) in {0, len(row.metrics)}
    Recipe.read(Path("trainer") / "recipes" / f"{row.recipe}.toml")


def test_rows_of_one_data_set_have_results_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves that a file of the data's name alone counts for its own protocol, until that is measured anew."""
    monkeypatch.setattr(quality, "BUILD", tmp_path)
    first, second = (_row(protocol=protocol) for protocol in ("next-like", "rating"))
    (tmp_path / "ml.json").write_text(json.dumps({"protocol": "next-like", "seeds": 1}))
    assert first.measured() == {"protocol": "next-like", "seeds": 1}
    assert second.measured() is None
    first.result.write_text(json.dumps({"protocol": "next-like", "seeds": 2}))
    assert first.measured() == {"protocol": "next-like", "seeds": 2}


def test_of_errors_less_is_better(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves the marks of a line, and its best baseline, for errors of all folds and of one."""
    monkeypatch.setattr(quality, "BUILD", tmp_path)
    row = _row(protocol="rating", model="two_sided", metrics=("rmse", "rmse[1]"), must=(0.9, 0.9), aim=(0.9, 0.8))
    figures = {
        name: {metric: {"mean": mean, "std": 0.0} for metric, mean in zip(row.metrics, means, strict=True)}
        for name, means in {"two_sided": (0.89, 0.85), "biases": (0.94, 0.93), "mean": (1.1, 1.2)}.items()
    }
    cost = {"seeds": 1, "seconds": 1, "peak_rss_mb": 1, "command": "-"}
    row.result.write_text(json.dumps({"protocol": "rating", "figures": figures, **cost}))
    written = line(row, "")
    assert "| 0.9000 / 0.9000 ✓ | 0.9000 / 0.8000 ✗ | biases 0.9400 / 0.9300 |" in written


def _row(
    protocol: str,
    model: str = "retrieval",
    metrics: tuple[str, ...] = ("recall@20",),
    must: tuple[float, ...] = (0.1,),
    aim: tuple[float, ...] = (),
) -> Row:
    return Row(
        data="ml", protocol=protocol, recipe="-", metrics=metrics, must=must, published="-", aim=aim, model=model
    )
