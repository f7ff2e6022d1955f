"""Imports point one way, and serving stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[1]
_TRAINING = ("torch", "polars", "scipy", "onnx", "onnxscript")
# What each package may never import.
_FORBIDDEN = {
    "shortlist": ("retrieval_service", "ranking_service", "trainer", "demo", "testbed", "bench", "faiss", *_TRAINING),
    "retrieval_service": ("ranking_service", "trainer", "demo", "testbed", "bench", *_TRAINING),
    "ranking_service": ("retrieval_service", "trainer", "demo", "testbed", "bench", "faiss", *_TRAINING),
    "trainer": ("retrieval_service", "ranking_service", "demo", "testbed", "bench"),
}


@pytest.mark.parametrize("package", _FORBIDDEN)
def test_a_package_imports_only_what_is_below_it(package: str) -> None:
    """Services know neither each other nor the trainer; nothing that serves knows torch."""
    wrong = [
        f"{path.relative_to(_ROOT)} imports {name}"
        for path in sorted((_ROOT / package).rglob("*.py"))
        for name in _imported(path)
        if name.split(".")[0] in _FORBIDDEN[package]
    ]
    assert wrong == []


@pytest.mark.parametrize("module", ["retrieval_service.service", "ranking_service.service", "shortlist.cli"])
def test_serving_loads_no_training_library(module: str) -> None:
    """Also not by way of somebody else's package: pip install shortlist has none of them."""
    code = f"import sys, {module}; print([name for name in {_TRAINING!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def _imported(path: Path) -> list[str]:
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
    return names
