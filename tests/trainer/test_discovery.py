"""Models and trainings are found by their files."""

from abc import ABC, abstractmethod
from importlib import import_module
from pathlib import Path

import pytest

from trainer.discovery import by_name, subclasses_in


class Base(ABC):
    """A shape to fill in."""

    @abstractmethod
    def learn(self) -> None:
        """Nothing yet."""


_MODULE = """
from tests.trainer.test_discovery import Base

class Half{name}(Base):
    pass

class {name}(Base):
    def learn(self):
        pass
"""


def test_a_new_file_is_found_without_a_line_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves that each concrete subclass is found once, in the order of the files, and abstract ones are not."""
    package = tmp_path / "found_by_files"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "second.py").write_text(_MODULE.format(name="Second") + "from found_by_files.first import First\n")
    (package / "first.py").write_text(_MODULE.format(name="First"))
    monkeypatch.syspath_prepend(tmp_path)
    found = subclasses_in(import_module("found_by_files"), Base)  # type: ignore[type-abstract]
    assert [kind.__name__ for kind in found] == ["First", "Second"]


def test_a_name_that_is_taken_or_missing_is_refused() -> None:
    """Proves that a copied model which keeps its original's name replaces nothing unseen."""
    kinds: list[type[object]] = [int, str]
    assert by_name(kinds, lambda kind: kind.__name__) == {"int": int, "str": str}
    with pytest.raises(ValueError, match="str needs a name of its own, not 'gru'"):
        by_name(kinds, lambda kind: "gru")
    with pytest.raises(ValueError, match="int needs a name of its own, not ''"):
        by_name(kinds, lambda kind: "")
