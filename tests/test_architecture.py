"""Imports point one way, between packages and between folders, and serving stays light."""

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[1]
_TRAINING = ("torch", "polars", "scipy", "sklearn", "onnx", "onnxscript", "lightgbm", "optuna", "matplotlib")
_PRODUCT = ("shortlist", "retrieval_service", "ranking_service", "live_service", "trainer")

# Each package may import itself and these packages of the repository.
_PACKAGES: Mapping[str, tuple[str, ...]] = {
    "shortlist": (),
    "retrieval_service": ("shortlist",),
    "ranking_service": ("shortlist",),
    "live_service": ("shortlist",),
    "trainer": ("shortlist",),
    "deploy": (),
    "prose": (),
    "testbed": ("shortlist",),
    "demo": ("shortlist", "trainer", "testbed"),
    "bench": (*_PRODUCT, "testbed", "demo"),
    "tests": (*_PRODUCT, "deploy", "prose", "testbed", "demo", "bench"),
}
# Each package may not import these libraries.
_LIBRARIES: Mapping[str, tuple[str, ...]] = {
    "shortlist": ("faiss", *_TRAINING),
    "retrieval_service": _TRAINING,
    "ranking_service": ("faiss", *_TRAINING),
    "live_service": ("faiss", "onnxruntime", *_TRAINING),
}
# Folders, from the ground up. A folder may import itself and the layers listed before its own, but no neighbour in its
# own layer; so no circle can form. A module that lies directly in the package counts as a folder of its own, and a
# folder does not include its subfolders.
_SHORTLIST: Sequence[tuple[str, ...]] = [
    (
        "shortlist.errors",
        "shortlist.context",
        "shortlist.flags",
        "shortlist.limits",
        "shortlist.type.v1",
        "shortlist.user_hash",
    ),
    (
        "shortlist.forgotten_list",
        "shortlist.live.v1",
        "shortlist.ranking.v1",
        "shortlist.retrieval.v1",
        "shortlist.status",
    ),
    ("shortlist.degraded", "shortlist.catalog_item"),
    ("shortlist.bundle", "shortlist.observability", "shortlist.security"),
    ("shortlist.inference", "shortlist.client", "shortlist.served"),
    ("shortlist.catalog",),
    ("shortlist.serving", "shortlist.wire", "shortlist.commands"),
    ("shortlist.live_histories",),
    ("shortlist",),
    ("shortlist.cli",),
]
_TRAINER: Sequence[tuple[str, ...]] = [
    ("trainer.errors", "trainer.progress", "trainer.discovery", "trainer.huge_pages"),
    ("trainer.files",),
    ("trainer.recipe", "trainer.live"),
    ("trainer.data",),
    ("trainer.evaluation", "trainer.features"),
    ("trainer.protocols", "trainer.baselines", "trainer.models.encoders", "trainer.models.rankers"),
    ("trainer.models",),
    ("trainer.training.encoder",),
    ("trainer.training.ranker", "trainer.tuning", "trainer.export.index"),
    ("trainer.training",),
    ("trainer.analysis", "trainer.baselines.trees"),
    ("trainer.report", "trainer.experiments.ratings"),
    ("trainer.export",),
    ("trainer.jobs",),
    ("trainer.commands",),
    ("trainer", "trainer.__main__"),
]


@pytest.mark.parametrize("package", _PACKAGES)
def test_a_package_imports_only_the_packages_below_it(package: str) -> None:
    """Services know neither each other nor the trainer; only the demo, the benchmarks and the tests know these three
    and the testbed.
    """
    assert list(_between_packages(_ROOT, package)) == []


@pytest.mark.parametrize("package", _LIBRARIES)
def test_a_package_that_serves_imports_no_training_library(package: str) -> None:
    """Also not inside a function."""
    assert list(_of_libraries(_ROOT, package)) == []


def test_one_module_imports_onnx_runtime() -> None:
    """Proves that nobody can import it with its telemetry on."""
    imports = (one for package in _PACKAGES for one in _imports(_ROOT, package))
    paths = {str(one.path) for one in imports if one.name.split(".")[0] == "onnxruntime"}
    assert paths == {"shortlist/inference/onnx_runtime.py"}


@pytest.mark.parametrize("layers", [_SHORTLIST, _TRAINER], ids=["shortlist", "trainer"])
def test_a_folder_imports_only_the_layers_below_it(layers: Sequence[tuple[str, ...]]) -> None:
    """No circle closes between folders either, and every folder has its place."""
    assert list(_between_folders(_ROOT, layers)) == []


def test_every_folder_in_the_list_exists() -> None:
    """A folder that was renamed leaves no stale line behind."""
    paths = [_ROOT / name.replace(".", "/") for layers in (_SHORTLIST, _TRAINER) for layer in layers for name in layer]
    assert [path for path in paths if not path.is_dir() and not path.with_suffix(".py").is_file()] == []


@pytest.mark.parametrize(
    "module", ["retrieval_service.service", "ranking_service.service", "live_service.service", "shortlist.cli"]
)
def test_serving_loads_no_training_library(module: str) -> None:
    """No third-party package brings one in either: ``pip install shortlist`` installs none of them."""
    code = f"import sys, {module}; print([name for name in {_TRAINING!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_a_service_that_imports_torch_is_found(tmp_path: Path) -> None:
    """The message names the file, the line and the library, though a function hides the import."""
    _plant(tmp_path, "ranking_service/ranker.py", "def load():\n    from torch.nn import functional\n")
    assert list(_of_libraries(tmp_path, "ranking_service")) == ["ranking_service/ranker.py:2 imports torch.nn"]


def test_a_forbidden_package_is_found(tmp_path: Path) -> None:
    """Serving may not lean on what only the demo and the tests start."""
    _plant(tmp_path, "testbed/services.py")
    _plant(tmp_path, "shortlist/serving/server.py", "from testbed import services\nimport shortlist.errors\n")
    assert list(_between_packages(tmp_path, "shortlist")) == [
        "shortlist/serving/server.py:1 imports testbed.services; shortlist may not import testbed"
    ]


def test_a_circle_between_folders_is_found(tmp_path: Path) -> None:
    """``from package import submodule`` and relative imports count; one direction of a circle is always refused."""
    _plant(tmp_path, "trainer/models/ranker.py", "from ..data.table import Table\n")
    _plant(tmp_path, "trainer/data/table.py", "from trainer.models import ranker\n")
    _plant(tmp_path, "trainer/data/other.py", "from trainer.data import table\nimport numpy\n")
    layers = [("trainer.data",), ("trainer.models",)]
    assert list(_between_folders(tmp_path, layers)) == [
        "trainer/data/table.py:1 imports trainer.models.ranker; trainer.data lies below trainer.models"
    ]
    assert list(_between_folders(tmp_path, layers[::-1])) == [
        "trainer/models/ranker.py:1 imports trainer.data.table; trainer.models lies below trainer.data"
    ]


def test_an_import_between_neighbours_is_found(tmp_path: Path) -> None:
    """Folders of one layer do not know each other."""
    _plant(tmp_path, "trainer/data/table.py")
    _plant(tmp_path, "trainer/errors.py", "import trainer.data.table\n")
    assert list(_between_folders(tmp_path, [("trainer.data", "trainer.errors")])) == [
        "trainer/errors.py:1 imports trainer.data.table; trainer.errors and trainer.data share a layer"
    ]


def test_a_folder_without_a_layer_is_found(tmp_path: Path) -> None:
    """A new folder has to be given a place."""
    _plant(tmp_path, "trainer/data/table.py")
    _plant(tmp_path, "trainer/fresh/thing.py", "from trainer.data.table import Table\n")
    assert list(_between_folders(tmp_path, [("trainer.data",)])) == [
        "trainer/fresh/thing.py: trainer.fresh is in no layer"
    ]


def _plant(root: Path, name: str, code: str = "") -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code)


def _between_packages(root: Path, package: str) -> Iterator[str]:
    forbidden = set(_PACKAGES) - {package, *_PACKAGES[package]}
    for one in _imports(root, package):
        top = one.name.split(".")[0]
        if top in forbidden:
            yield f"{one}; {package} may not import {top}"


def _of_libraries(root: Path, package: str) -> Iterator[str]:
    return (str(one) for one in _imports(root, package) if one.name.split(".")[0] in _LIBRARIES[package])


def _between_folders(root: Path, layers: Sequence[tuple[str, ...]]) -> Iterator[str]:
    package = layers[0][0].split(".")[0]
    depths = {folder: depth for depth, layer in enumerate(layers) for folder in layer}
    folders = {path: _folder(path) for path in _sources(root, package)}
    yield from (f"{path}: {folder} is in no layer" for path, folder in folders.items() if folder not in depths)
    for one in _imports(root, package):
        source, target = folders[one.path], _folder(_file(root, one.name))
        if source == target or source not in depths or target not in depths:
            continue
        if depths[source] < depths[target]:
            yield f"{one}; {source} lies below {target}"
        elif depths[source] == depths[target]:
            yield f"{one}; {source} and {target} share a layer"


@dataclass(frozen=True, kw_only=True)
class _Import:
    """``path`` is relative to the root; ``name`` is the imported module."""

    path: Path
    line: int
    name: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line} imports {self.name}"


def _sources(root: Path, package: str) -> list[Path]:
    """Every module of a package, without an ``__init__`` that imports nothing."""
    found = (path.relative_to(root) for path in sorted((root / package).rglob("*.py")))
    return [path for path in found if path.name != "__init__.py" or "import" in (root / path).read_text()]


def _imports(root: Path, package: str) -> Iterator[_Import]:
    """Every import of a package, inside functions as well."""
    for path in _sources(root, package):
        for node in ast.walk(ast.parse((root / path).read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = _imported_from(root, path, node)
            else:
                continue
            yield from (_Import(path=path, line=node.lineno, name=name) for name in names)


def _imported_from(root: Path, path: Path, node: ast.ImportFrom) -> list[str]:
    """``from package import name`` imports the module ``package.name`` where there is one, else ``package``."""
    above = path.parts[: len(path.parts) - node.level] if node.level else ()
    module = ".".join([*above, *([node.module] if node.module else [])])
    names = [f"{module}.{alias.name}" for alias in node.names]
    return list(dict.fromkeys(name if _exists(root, name) else module for name in names))


def _exists(root: Path, name: str) -> bool:
    return (root / _file(root, name)).is_file()


def _file(root: Path, name: str) -> Path:
    path = Path(*name.split("."))
    return path / "__init__.py" if (root / path).is_dir() else path.with_suffix(".py")


def _folder(path: Path) -> str:
    """The folder that a module belongs to; a module directly in the package stands for itself."""
    parts = path.parent.parts if path.name == "__init__.py" or len(path.parts) > 2 else path.with_suffix("").parts
    return ".".join(parts)
