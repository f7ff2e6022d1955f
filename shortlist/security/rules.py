"""The allow list: a TOML file that has, for names in client certificates, the methods that they may call."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

# A subject alternative name → "package.Service/Method" and "package.Service/*".
Rules = Mapping[str, frozenset[str]]
_METHOD = re.compile(r"\w+(\.\w+)*/(\w+|\*)", re.ASCII)


def read_rules(path: Path) -> Rules:
    """The rules of a file such as this one::

        "ranking.shortlist.svc" = ["shortlist.retrieval.v1.RetrievalService/*"]
        "backend.shop.svc" = ["shortlist.ranking.v1.RankingService/Recommend"]

    Nobody else may call anything, so that an empty file is for nobody.

    Raises:
        ValueError: the file cannot be read, is not TOML, or has something else in it.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    for name, methods in raw.items():
        if not isinstance(methods, list):
            # Without quotes, TOML takes a name with dots for tables in tables.
            raise ValueError(f'{path}: {name!r} needs a list of methods; a name with dots is written in quotes: "a.b"')
        for method in methods:
            if not (isinstance(method, str) and _METHOD.fullmatch(method)):
                raise ValueError(f"{path}: {name!r} has {method!r}, which is not package.Service/Method or /*")
    return {name: frozenset(methods) for name, methods in raw.items()}


def may_call(rules: Rules, names: Iterable[str], method: str) -> bool:
    """Whether one of a caller's names is listed for a method such as ``package.Service/Method``."""
    service = method.partition("/")[0]
    return any(not rules.get(name, frozenset()).isdisjoint((method, f"{service}/*")) for name in names)
