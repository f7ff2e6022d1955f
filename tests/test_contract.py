"""The wire contract is frozen: a change that breaks a caller is refused, an addition is not."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[1]
_BUF = Path(sys.executable).parent / "buf"
_FIELD = "  string item_id = 1;"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The contract, where it may be changed."""
    shutil.copytree(_ROOT / "protos", tmp_path / "protos")
    shutil.copy(_ROOT / "buf.yaml", tmp_path)
    return tmp_path


def _compare(folder: Path, old: str, new: str) -> subprocess.CompletedProcess[str]:
    """Runs the command of ``make protos`` after a change of the ranking service's proto."""
    proto = folder / "protos" / "shortlist" / "ranking" / "v1" / "ranking_service.proto"
    text = proto.read_text()
    assert old in text
    proto.write_text(text.replace(old, new))
    command = [str(_BUF), "breaking", "--against", "protos/contract.binpb"]
    assert f"breaking --against {command[-1]}" in (_ROOT / "Makefile").read_text()
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("new", "complaint"),
    [
        ("", "was deleted"),
        ("  string id = 1;", 'changed name from "item_id" to "id"'),
        ("  bytes item_id = 1;", "changed type"),
        ("  string item_id = 7;", "was deleted"),
    ],
)
def test_a_field_may_not_go_or_change(copy: Path, new: str, complaint: str) -> None:
    """Proves that neither its number, its name nor its type may change."""
    done = _compare(copy, _FIELD, new)
    assert done.returncode != 0
    assert complaint in done.stdout


def test_a_field_may_be_added(copy: Path) -> None:
    """Proves that the contract can grow."""
    done = _compare(copy, _FIELD, f"{_FIELD}\n  // More.\n  string more = 70;")
    assert (done.returncode, done.stdout) == (0, "")
