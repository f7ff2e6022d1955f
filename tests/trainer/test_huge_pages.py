"""The start of a training with huge pages."""

import os
import subprocess
import sys
from pathlib import Path

_SCRIPT = """
import os, sys
from trainer.huge_pages import use_huge_pages
print("started", flush=True)
use_huge_pages()
print(os.environ["GLIBC_TUNABLES"], sys.argv[1:])
"""


def _output(script: Path, **variables: str) -> list[str]:
    environment = {name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES"} | variables
    command = [sys.executable, str(script), "--seed", "a b"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()


def test_a_command_starts_anew_with_huge_pages_and_its_arguments(tmp_path: Path) -> None:
    """Proves that it does so once, and not where somebody has tuned glibc."""
    script = tmp_path / "command.py"
    script.write_text(_SCRIPT)
    assert _output(script) == ["started", "started", "glibc.malloc.hugetlb=1 ['--seed', 'a b']"]
    assert _output(script, GLIBC_TUNABLES="mine") == ["started", "mine ['--seed', 'a b']"]
