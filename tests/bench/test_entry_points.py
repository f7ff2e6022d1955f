"""Every benchmark, and the demo, is a command that explains itself."""

import re
import runpy
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
# Runs in the environment of Ray alone.
_ELSEWHERE = {"bench.peers.ray_server"}
_SHOWING = ("README.md", "Makefile", "docs/*.md", "bench/**/*.md", "bench/**/*.py", "trainer/recipes/*.toml")


def _commands() -> list[str]:
    """The modules and packages under bench that run as ``python -m``."""
    paths = [path for path in sorted((_ROOT / "bench").rglob("*.py")) if '__name__ == "__main__"' in path.read_text()]
    names = [".".join(path.relative_to(_ROOT).with_suffix("").parts) for path in paths]
    return [name.removesuffix(".__main__") for name in names]


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
@pytest.mark.parametrize("name", sorted({*_commands(), "demo"} - _ELSEWHERE))
def test_a_command_explains_itself(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Proves that --help names the command as it is run, and that its imports are sound."""
    monkeypatch.setattr("sys.argv", [name, "--help"])
    with pytest.raises(SystemExit) as left:
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    assert left.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: python -m {name} [-h]")


def test_every_command_that_is_shown_exists() -> None:
    """Proves it for documentation, docstrings, recipes and the Makefile."""
    paths = [path for pattern in _SHOWING for path in _ROOT.glob(pattern)]
    texts = {path.relative_to(_ROOT).as_posix(): path.read_text(encoding="utf-8") for path in paths}
    shown = {(name, path) for path, text in texts.items() for name in re.findall(r"python -m (bench[\w.]*\w)", text)}
    assert shown
    assert {(name, path) for name, path in shown if name not in _commands()} == set()
