"""The tables of docs/performance.md."""

import json
from pathlib import Path

import pytest

from bench import performance

LOAD = {"cpu_us": 1500.0, "rps": 640.0, "p50_ms": 2.5, "p99_ms": 5.125}
RESULTS = {
    "serving": {
        "machine": {"cores": 2, "processor": "CPU", "memory_gb": 8},
        "limit": LOAD,
        "empty": LOAD,
        "service": {"16": LOAD},
        "retrieve": {"16": LOAD},
        "overhead": {"16": 2.5, "64": 1.5},
    },
    "index": {"spec": "IVF4,Flat", "parameters": "nprobe=2", "recall": 0.99, "of_hnsw_time": 0.25},
    "startup": {name: {"start_seconds": 0.5} for name in ("retrieval_service", "ranking_service")},
    "scale": {"machine": {}},
    "train": {"ml_1m": {stage: {"examples_a_second": 1000.0} for stage in ("encoder", "ranker")}},
}


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the page, and an empty folder of results beside it."""
    copy = tmp_path / "performance.md"
    copy.write_text((Path("docs") / "performance.md").read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(performance, "_PAGE", copy)
    monkeypatch.setattr(performance, "BUILD", tmp_path)
    monkeypatch.setattr("sys.argv", ["performance"])
    return copy


def test_figures_replace_the_block_of_the_page_alone(page: Path) -> None:
    """Proves it on the page itself, and that a second run changes nothing."""
    old = page.read_text(encoding="utf-8")
    for name, result in RESULTS.items():
        (page.parent / f"{name}.json").write_text(json.dumps(result))
    assert performance.main() == 0
    new = page.read_text(encoding="utf-8")
    assert "| `Recommend` | 16 | 1500 | 640 | 2.50 | 5.12 |" in new
    assert [new.partition(performance._BEGIN)[0], new.partition(performance._END)[2]] == [
        old.partition(performance._BEGIN)[0],
        old.partition(performance._END)[2],
    ]
    assert performance.main() == 0
    assert page.read_text(encoding="utf-8") == new


def test_missing_results_leave_the_page_unchanged(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Proves that no figure is lost, and that the message names the commands."""
    old = page.read_text(encoding="utf-8")
    assert performance.main() == 1
    assert "no serving, index, startup, scale, train" in capsys.readouterr().err
    assert page.read_text(encoding="utf-8") == old
