"""An interpreter that has only some of the installed distributions.

``python -m tests.support.limited_imports REQUIREMENTS PROVIDED MODULE...`` imports the modules. It has the standard
library, this repository's serving code, the distributions that the file REQUIREMENTS lists, and their dependencies.
PROVIDED is a package that only the real environment has; a stand-in takes its place.
"""

import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from types import ModuleType
from unittest.mock import MagicMock

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_OURS = {"bench", "ranking_service", "retrieval_service", "shortlist", "testbed"}


class _StandIn(Loader):
    """Modules whose every attribute is a mock."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return MagicMock(name=spec.name, __path__=[], __spec__=spec)

    def exec_module(self, module: ModuleType) -> None:
        pass


class _Only(MetaPathFinder):
    """Refuses every import but of top-level ``names`` and of the package ``provided``."""

    def __init__(self, names: set[str], provided: str) -> None:
        self._names, self._provided = names, provided

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        top = name.partition(".")[0]
        if top == self._provided:
            return ModuleSpec(name, _StandIn(), is_package=True)
        if top not in self._names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


def main(requirements: str, provided: str, *modules: str) -> None:
    """See the module."""
    lines = [line for line in Path(requirements).read_text().splitlines() if not line.startswith("#")]
    distributions = {name for line in lines for name in _with_dependencies(Requirement(line))}
    names = {
        name
        for name, found in packages_distributions().items()
        if distributions & {canonicalize_name(one) for one in found}
    }
    sys.meta_path.insert(0, _Only({*sys.stdlib_module_names, *_OURS, *names}, provided))
    for module in modules:
        import_module(module)


def _with_dependencies(requirement: Requirement, seen: frozenset[str] = frozenset()) -> Iterator[str]:
    name = canonicalize_name(requirement.name)
    if name in seen:
        return
    yield name
    try:
        dependencies = [Requirement(line) for line in requires(name) or ()]
    except PackageNotFoundError:
        return
    for dependency in dependencies:
        if _is_wanted(dependency, requirement.extras):
            yield from _with_dependencies(dependency, seen | {name})


def _is_wanted(dependency: Requirement, extras: set[str]) -> bool:
    marker = dependency.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in extras or {""})


if __name__ == "__main__":
    main(*sys.argv[1:])
