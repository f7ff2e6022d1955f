"""Finds the classes of a package, so that a new one needs no line in a list."""

import inspect
import pkgutil
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import TypeVar

T = TypeVar("T")


def subclasses_in(package: ModuleType, base: type[T]) -> list[type[T]]:
    """The concrete subclasses of ``base`` that the modules of a package define, in the order of the modules' names."""
    modules = [import_module(f"{package.__name__}.{found.name}") for found in pkgutil.iter_modules(package.__path__)]
    return [
        kind
        for module in modules
        for kind in vars(module).values()
        if isinstance(kind, type)
        and issubclass(kind, base)
        and kind.__module__ == module.__name__
        and not inspect.isabstract(kind)
    ]


def by_name(kinds: list[type[T]], name_of: Callable[[type[T]], str]) -> dict[str, type[T]]:
    """The classes by their names.

    Raises:
        ValueError: a class has no name, or two classes have the same one.
    """
    found = dict[str, type[T]]()
    for kind in kinds:
        other = found.setdefault(name_of(kind), kind)
        if not name_of(kind) or other is not kind:
            raise ValueError(f"{kind.__module__}: {kind.__name__} needs a name of its own, not {name_of(kind)!r}")
    return found
