"""The allow list: a TOML file that maps names in client certificates to the methods that they may call."""

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from shortlist.live.v1 import catalog_service_pb2, event_service_pb2
from shortlist.ranking.v1 import ranking_service_pb2
from shortlist.retrieval.v1 import retrieval_service_pb2
from shortlist.security.names import is_name

# A DNS name, IP address or URI of a caller's certificate → "package.Service/Method" and "package.Service/*".
Rules = Mapping[str, frozenset[str]]
_SERVICES = [
    service
    for file in (ranking_service_pb2, retrieval_service_pb2, event_service_pb2, catalog_service_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
]
# The methods of all services, so that they may share one list.
_METHODS = [f"{service.full_name}/{name}" for service in _SERVICES for name in ("*", *service.methods_by_name)]


def read_rules(path: Path) -> Rules:
    """Reads the rules of a file such as this one::

        "ranking.shortlist.svc" = ["shortlist.retrieval.v1.RetrievalService/*"]
        "spiffe://shop/backend" = ["shortlist.ranking.v1.RankingService/Recommend"]

    A DNS name stands for DNS entries of certificates, a URI for URI entries, and an IP address for IP entries. Callers
    without a rule may call nothing, so an empty file refuses everybody.

    Raises:
        ValueError: the file cannot be read, is not TOML, or is not a table of lists of methods. Or a key is no name
            that a caller can have, or a value no method of Shortlist's services.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    for name, methods in raw.items():
        if not isinstance(methods, list):
            # TOML reads an unquoted name with dots as nested tables.
            raise ValueError(f'{path}: {name!r} needs a list of methods; a name with dots is written in quotes: "a.b"')
        if not is_name(name):
            raise ValueError(f"{path}: {name!r} is neither a DNS name nor an IP address nor a URI with ://")
        for method in methods:
            if method not in _METHODS:
                raise ValueError(f"{path}: {name!r} has {method!r}, which is none of {', '.join(_METHODS)}")
    return {name: frozenset(methods) for name, methods in raw.items()}


def may_call(rules: Rules, names: Iterable[str], method: str) -> bool:
    """Whether the rules let one of a caller's names call a method such as ``package.Service/Method``."""
    service = method.partition("/")[0]
    return any(not rules.get(name, frozenset()).isdisjoint((method, f"{service}/*")) for name in names)
