"""A recipe with tuned settings, as a file that keeps the comments and the order of the original."""

import os
import secrets
from collections.abc import Sequence
from pathlib import Path

import tomlkit
from tomlkit.items import Table

from trainer.tuning.search_space import Settings


def write_tuned(base: Path, out: Path, settings: Settings, about: Sequence[str]) -> None:
    """Writes the base recipe with other settings of its encoder, under comment lines ``about`` their origin.

    The write is atomic.
    """
    document = tomlkit.parse(base.read_text(encoding="utf-8"))
    section = document.setdefault("encoder", tomlkit.table())
    assert isinstance(section, Table | dict)
    for key, value in settings.items():
        section[key] = value
    lines = [f"# {line}" for line in about]
    _replace(out, "\n".join([*lines, "", tomlkit.dumps(document)]))


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
