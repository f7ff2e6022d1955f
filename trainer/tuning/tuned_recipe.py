"""A recipe with tuned settings, as a file that keeps the comments and the order of the original."""

from collections.abc import Sequence
from pathlib import Path

import tomlkit
from tomlkit.items import Table

from trainer.files import write_text
from trainer.tuning.search_space import Settings


def write_tuned(base: Path, out: Path, settings: Settings, about: Sequence[str]) -> None:
    """Writes the base recipe with other settings of its encoder, under comment lines ``about`` their origin.

    The write is atomic. Raises OutputError when the disk refuses it.
    """
    document = tomlkit.parse(base.read_text(encoding="utf-8"))
    section = document.setdefault("encoder", tomlkit.table())
    assert isinstance(section, Table | dict)
    for key, value in settings.items():
        section[key] = value
    lines = [f"# {line}" for line in about]
    write_text(out, "\n".join([*lines, "", tomlkit.dumps(document)]))
