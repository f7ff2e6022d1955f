"""The tables of docs/quality.md."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bench.quality import measure as quality
from bench.quality.measure import Row, rows
from bench.quality.table import TABLES, line, with_table
from trainer.baselines.linear import BASELINES
from trainer.jobs.evaluators import EVALUATORS
from trainer.protocols.registry import PROTOCOLS
from trainer.recipe import Recipe


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row.data}, {row.protocol}")
def test_a_row_names_an_existing_recipe_protocol_and_baseline(row: Row) -> None:
    """Proves that hours of measurement do not end at a misspelt name."""
    assert row.protocol in {*PROTOCOLS, *EVALUATORS}
    assert not row.baseline or row.baseline in {*BASELINES, "retrieval", "lightgbm"}
    assert len(row.must) == len(row.metrics)
    assert len(row.aim) in {0, len(row.metrics)}
    Recipe.read(Path("trainer") / "recipes" / f"{row.recipe}.toml")


def test_rows_of_one_data_set_have_separate_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves that a file named by the data alone counts for its own protocol until a newer result exists."""
    monkeypatch.setattr(quality, "BUILD", tmp_path)
    first, second = (_row(protocol=protocol) for protocol in ("next-like", "rating"))
    (tmp_path / "ml.json").write_text(json.dumps({"protocol": "next-like", "seeds": 1}))
    assert first.measured() == {"protocol": "next-like", "seeds": 1}
    assert second.measured() is None
    first.result.write_text(json.dumps({"protocol": "next-like", "seeds": 2}))
    assert first.measured() == {"protocol": "next-like", "seeds": 2}


def test_smaller_errors_are_better(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves the marks of a line and its best baseline, for errors of all folds and of one fold."""
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


def test_bounds_can_be_multiples_of_the_figures_of_trees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves the line of impressions, in which LightGBM is also the best baseline."""
    monkeypatch.setattr(quality, "BUILD", tmp_path)
    metrics = ("click/auc", "like/auc")
    row = replace(_row(protocol="impressions", model="ranker", metrics=metrics, must=(1, 1)), baseline="lightgbm")
    figures = {"ranker": _figures(metrics, (0.72, 0.90)), "lightgbm": _figures(metrics, (0.71, 0.91))}
    cost = {"seeds": 2, "seconds": 4, "peak_rss_mb": 8, "command": "-"}
    row.result.write_text(json.dumps({"protocol": "impressions", "figures": figures, **cost}))
    assert line(row, "") == (
        "| ml, impressions | click/auc / like/auc | 0.7200 ± 0.0010 / 0.9000 ± 0.0010 | 0.7100 / 0.9100 ✗ |  "
        "| lightgbm 0.7100 / 0.9100 | 2, 2, 8 | `-` |"
    )


def test_trees_are_a_baseline_of_both_stages_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves that retrieval alone is not compared with a baseline that ranks."""
    monkeypatch.setattr(quality, "BUILD", tmp_path)
    first, both = (_row("next-like", model=model, metrics=("ndcg@10",)) for model in ("retrieval", "two_stage"))
    means = {"retrieval": 0.11, "two_stage": 0.13, "lightgbm": 0.12, "cooccurrence": 0.1}
    figures = {name: _figures(("ndcg@10",), (mean,)) for name, mean in means.items()}
    cost = {"seeds": 1, "seconds": 1, "peak_rss_mb": 1, "command": "-"}
    first.result.write_text(json.dumps({"protocol": "next-like", "figures": figures, **cost}))
    assert "| cooccurrence 0.1000 |" in line(first, "")
    assert "| lightgbm 0.1200 |" in line(both, "")


@pytest.mark.parametrize(("given", "seeds"), [([], "5"), (["--seeds", "1"], "1")])
def test_a_row_runs_with_its_own_seeds_by_default(
    given: list[str], seeds: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proves it for a row of five seeds, and that the stored command is the one that ran."""
    (tmp_path / "frappe").mkdir()
    monkeypatch.setattr(quality, "BUILD", tmp_path)
    monkeypatch.setattr("sys.argv", ["quality", str(tmp_path / "frappe"), *given])
    ran = list[list[str]]()

    def run(command: list[str], *, check: bool) -> None:
        ran.append(command)
        Path(command[-1]).write_text("{}")

    monkeypatch.setattr("bench.quality.measure.subprocess.run", run)
    assert quality.main() == 0
    assert [one[one.index("--seeds") + 1] for one in ran] == [seeds]
    assert json.loads((tmp_path / "frappe-impressions.json").read_text())["command"].endswith(f"--seeds {seeds}")


RANKERS = """before
<!-- rankers: make quality-table -->

| old head | |
|---|---|
| `din` | as it was |
| `cnn` | as it was |

<!-- end of rankers -->
after"""


def test_a_ranker_has_a_line_of_quality_and_cost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves the line of a ranker. A ranker with missing seeds, or without a result, keeps its old line."""
    monkeypatch.setattr(quality, "BUILD", tmp_path)
    means = (0.12345, 61.4, 12345.0, 1234.5)
    one = _figures(("ndcg@10", "cpu_seconds", "parameters", "microseconds"), means)
    rankers = {"mmoe of din": one, "cnn": one}
    result = {"rankers": rankers, "runs": {"mmoe of din": [{}, {}], "cnn": [{}]}, "seeds": 2, "command": "measure"}
    (tmp_path / "rankers.json").write_text(json.dumps(result))
    assert with_table(RANKERS, "rankers").splitlines()[3:] == [
        "| ranker | nDCG@10 | training, CPU s | parameters | µs for 500 candidates | command |",
        "|---|---|---|---|---|---|",
        "| `din` | as it was |",
        "| `cnn` | as it was |",
        "| `mmoe of din` | 0.1235 ± 0.0010 | 61 | 12,345 | 1,234 | `measure` |",
        "",
        "<!-- end of rankers -->",
        "after",
    ]


@pytest.mark.parametrize(
    ("trees", "cells"), [({"lightgbm": 0.7100}, "0.7100 | +0.0100"), ({}, " | ")], ids=["lightgbm", "without it"]
)
def test_several_objectives_are_compared_with_each_alone(
    trees: dict[str, float], cells: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proves the line of an event objective, with and without LightGBM; values and unmeasured objectives have none."""
    monkeypatch.setattr(quality, "BUILD", tmp_path)
    metrics = ("click/auc", "like/auc", "stars/rmse")
    together = {name: _figures(metrics, (mean, mean, mean)) for name, mean in {"ranker": 0.72, **trees}.items()}
    alone = {
        "click": {"figures": {"ranker": _figures(("click/auc",), (0.725,))}},
        "stars": {"figures": {"ranker": _figures(("stars/rmse",), (0.8,))}},
    }
    result = {"data": "ml", "together": {"figures": together}, "alone": alone, "command": "measure"}
    (tmp_path / "objectives-ml.json").write_text(json.dumps(result))
    page = "<!-- objectives: make quality-table -->\n<!-- end of objectives -->"
    assert [one for one in with_table(page, "objectives").splitlines() if one.startswith("| ml")] == [
        f"| ml, click | 0.7200 ± 0.0010 | 0.7250 ± 0.0010 | -0.0050 | {cells} | `measure` |"
    ]


@pytest.mark.parametrize("name", TABLES)
def test_a_table_without_results_stays_unchanged(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves it on the page itself."""
    monkeypatch.setattr(quality, "BUILD", tmp_path)
    page = with_table((Path("docs") / "quality.md").read_text(encoding="utf-8"), name)
    assert with_table(page, name) == page
    assert page == (Path("docs") / "quality.md").read_text(encoding="utf-8")


def test_a_page_without_the_markers_is_refused() -> None:
    """Proves that an edited marker does not lose a table."""
    with pytest.raises(ValueError, match="there is no <!-- objectives: make quality-table -->"):
        with_table("# Quality", "objectives")


def _figures(metrics: Sequence[str], means: Sequence[float]) -> dict[str, dict[str, float]]:
    return {metric: {"mean": mean, "std": 0.001} for metric, mean in zip(metrics, means, strict=True)}


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
