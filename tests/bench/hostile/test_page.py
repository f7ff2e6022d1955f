"""The table of docs/production.md."""

import json
from pathlib import Path

import pytest

from bench.hostile import page

_RESULT = {
    "machine": {"cores": 2, "processor": "CPU"},
    "seconds": 600.0,
    "calls": 1234567,
    "peak_rps": 900.4,
    "allocator": "glibc",
    "verdicts": [{"promise": "every process lives", "figure": "ranking ended with 134", "holds": False}],
    "attacks": [
        {"attack": "burst", "calls": 6000, "lost": 1, "degraded": 2, "p99_ms": 45.6, "health_ms": None},
    ],
}


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the page; there is no result yet."""
    copy = tmp_path / "production.md"
    copy.write_text((Path("docs") / "production.md").read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(page, "_PAGE", copy)
    monkeypatch.setattr(page, "RESULT", tmp_path / "hostile.json")
    monkeypatch.setattr("sys.argv", ["page"])
    return copy


def test_verdicts_replace_the_block_of_the_page_alone(written: Path) -> None:
    """Proves it on the page itself, that a broken promise is called so, and that a second run changes nothing."""
    old = written.read_text(encoding="utf-8")
    (written.parent / "hostile.json").write_text(json.dumps(_RESULT))
    assert page.main() == 0
    new = written.read_text(encoding="utf-8")
    assert "Honest callers made 1,234,567 calls, at half of the peak of 900 a second. The allocator was glibc." in new
    assert "1 of 1 promises broke." in new
    assert "| burst | 6,000 | 1 | 2 | 46 | none |" in new
    assert "| every process lives | ranking ended with 134 | broken |" in new
    assert [new.partition(page._BEGIN)[0], new.partition(page._END)[2]] == [
        old.partition(page._BEGIN)[0],
        old.partition(page._END)[2],
    ]
    assert page.main() == 0
    assert written.read_text(encoding="utf-8") == new


def test_without_a_result_the_page_stays(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Proves that no figure is lost, and that the message names the command."""
    old = written.read_text(encoding="utf-8")
    assert page.main() == 1
    assert "run make hostile first" in capsys.readouterr().err
    assert written.read_text(encoding="utf-8") == old
