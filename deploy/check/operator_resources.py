"""Checks the Prometheus operator's resources, whose schemas no Kubernetes release contains.

Covers the part of monitoring.coreos.com/v1 that the component uses. Refuses any other field, for the API server would
silently drop it.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from deploy.check.kustomize import Manifest

GROUP = "monitoring.coreos.com/"
_DURATION = re.compile(r"(\d+(ms|[smhdwy]))+")


def complaints(manifest: Manifest) -> list[str]:
    """The errors of a ServiceMonitor or a PrometheusRule."""
    if manifest["apiVersion"] != "monitoring.coreos.com/v1":
        return [f"apiVersion {manifest['apiVersion']} is not monitoring.coreos.com/v1"]
    match manifest["kind"]:
        case "ServiceMonitor":
            return list(_service_monitor(manifest["spec"]))
        case "PrometheusRule":
            return [complaint for group in manifest["spec"]["groups"] for complaint in _group(group)]
    return [f"kind {manifest['kind']} is not known here"]


def _service_monitor(spec: Mapping[str, Any]) -> Iterator[str]:
    yield from _fields(spec, "spec", required=("selector", "endpoints"))
    yield from _fields(spec["selector"], "selector", optional=("matchLabels",))
    for endpoint in spec["endpoints"]:
        yield from _fields(endpoint, "endpoint", required=("port",), optional=("path", "interval", "scrapeTimeout"))
        yield from _durations(endpoint, ("interval", "scrapeTimeout"))


def _group(group: Mapping[str, Any]) -> Iterator[str]:
    yield from _fields(group, "group", required=("name", "rules"), optional=("interval",))
    yield from _durations(group, ("interval",))
    for rule in group["rules"]:
        name = f"rule {rule.get('alert') or rule.get('record')}"
        optional = ("alert", "record", "for", "keep_firing_for", "labels", "annotations")
        yield from _fields(rule, name, required=("expr",), optional=optional)
        yield from _durations(rule, ("for", "keep_firing_for"))
        if ("alert" in rule) == ("record" in rule):
            yield f"{name}: needs exactly one of alert and record"
        for texts in ("labels", "annotations"):
            wrong = [key for key, value in rule.get(texts, {}).items() if not isinstance(value, str)]
            if wrong:
                yield f"{name}: {texts} {wrong} are not text"


def _fields(
    found: Mapping[str, Any], owner: str, *, required: tuple[str, ...] = (), optional: tuple[str, ...] = ()
) -> Iterator[str]:
    missing = [name for name in required if name not in found]
    unknown = [name for name in found if name not in (*required, *optional)]
    if missing:
        yield f"{owner}: lacks {missing}"
    if unknown:
        yield f"{owner}: has unknown {unknown}"


def _durations(found: Mapping[str, Any], names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        if name in found and not (isinstance(found[name], str) and _DURATION.fullmatch(found[name])):
            yield f"{name}: {found[name]!r} is not a duration"
