"""The code reads no format that can run code."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[3]
_PACKAGES = ("shortlist", "retrieval_service", "ranking_service", "trainer", "demo", "bench")
_MODULES = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "jsonpickle", "joblib", "marshal", "shelve"}


@pytest.mark.parametrize("package", _PACKAGES)
def test_no_package_reads_pickles(package: str) -> None:
    """No module for pickles, and no pickles through numpy or torch: a bundle may come from anywhere."""
    paths = sorted((_ROOT / package).rglob("*.py"))
    assert paths
    assert [f"{path.relative_to(_ROOT)} {found}" for path in paths for found in _found(path.read_text())] == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import os, joblib.memory as memory",
        "from marshal import loads",
        "def f():\n    import shelve",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=wanted)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "from torch import load",
        "pd.read_pickle(path)",
    ],
)
def test_the_test_finds_them(source: str) -> None:
    """It finds every known way to read a pickle."""
    assert len(list(_found(source))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "np.load(path, allow_pickle=False)",
        "torch.load(path, weights_only=True)",
        "from torch import nn",
        "json.load(f)",
    ],
)
def test_the_test_leaves_the_rest_alone(source: str) -> None:
    """Safe calls pass."""
    assert list(_found(source)) == []


def _found(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (f"imports {one.name}" for one in names if one.name.split(".")[0] in _MODULES)
            case ast.ImportFrom(module=str(module), names=names):
                if module.split(".")[0] in _MODULES or (module == "torch" and any(one.name == "load" for one in names)):
                    yield f"imports from {module}"
            case ast.Call():
                yield from _found_in_call(node)


def _found_in_call(call: ast.Call) -> Iterator[str]:
    arguments = {argument.arg: argument.value for argument in call.keywords}
    name = ast.unparse(call.func)
    if "allow_pickle" in arguments and not _is(arguments["allow_pickle"], False):
        yield f"calls {name} with allow_pickle"
    if name == "torch.load" and not _is(arguments.get("weights_only"), True):
        yield "calls torch.load without weights_only=True"
    if name.endswith("read_pickle"):
        yield f"calls {name}"


def _is(node: ast.expr | None, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value
