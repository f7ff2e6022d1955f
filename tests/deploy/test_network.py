"""The network policies."""

from collections.abc import Iterator, Sequence
from typing import Any

from deploy.check.kustomize import Manifest
from tests.support.manifests import Workload, listened_ports, of_kind, selects, services, trainers, workloads

# The destinations outside our manifests that pods may reach.
_OUTSIDE = {53: "DNS", 5432: "PostgreSQL"}
_ANYWHERE: dict[str, Any] = {"namespaceSelector": {}}
_SERVING = {"key": "app.kubernetes.io/name", "operator": "In", "values": ["retrieval", "ranking"]}


def test_all_traffic_is_denied_by_default(production: list[Manifest]) -> None:
    """One policy selects every pod, in both directions, and allows nothing."""
    specs = [policy["spec"] for policy in of_kind(production, "NetworkPolicy")]
    assert {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} in specs


def test_an_ingress_rule_leads_to_a_listening_port(production: list[Manifest]) -> None:
    """Every pod of every policy listens on every opened port, and the callers are named."""
    for spec in _specs(production):
        for rule in spec.get("ingress", []):
            assert rule["from"]
            for workload in _selected(production, spec["podSelector"]):
                listened = listened_ports(workload, production).values()
                assert {port["port"] for port in rule["ports"]} <= set(listened)


def test_an_egress_rule_leads_to_a_listening_port(production: list[Manifest]) -> None:
    """Pods may reach ports of our services, or named destinations outside."""
    for spec in _specs(production):
        for rule in spec.get("egress", []):
            for peer in rule.get("to", [_ANYWHERE]):
                for port in rule["ports"]:
                    inside = [] if "namespaceSelector" in peer else _selected(production, peer["podSelector"])
                    listened = [listened_ports(one, production).values() for one in inside]
                    assert (inside and all(port["port"] in ports for ports in listened)) or port["port"] in _OUTSIDE


def test_ranking_reaches_the_others_and_callers_reach_ranking(production: list[Manifest]) -> None:
    """The calls between the services are open at both ends, and so are the metrics."""
    retrieval, ranking, live = (_one(production, name) for name in ("retrieval", "ranking", "live"))
    called = {listened_ports(one, production)["grpc"] for one in (retrieval, live)}
    assert _open(production, ranking, "egress") == {*called, 53}
    assert _open(production, retrieval, "egress") == {listened_ports(live, production)["grpc"], 53}
    for workload in (retrieval, ranking, live):
        ports = listened_ports(workload, production)
        assert _open(production, workload, "ingress") == {ports["grpc"], ports["metrics"]}


def test_services_and_clients_alone_reach_live(production: list[Manifest]) -> None:
    """The trainer does where it learns from live, and live calls nobody, or its database."""
    live = _one(production, "live")
    assert _open(production, live, "egress") == ({53, 5432} if live.manifest["kind"] == "Deployment" else set())
    callers = [
        peer
        for spec in _specs(production)
        if selects(spec["podSelector"], live.labels)
        for rule in spec.get("ingress", [])
        for peer in rule["from"]
        if {"port": listened_ports(live, production)["grpc"]} in rule["ports"]
    ]
    training = [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "trainer"}}}]
    assert callers == [
        {"podSelector": {"matchExpressions": [_SERVING]}},
        {"namespaceSelector": {"matchLabels": {"shortlist-client": "true"}}},
        *(training if _learns_from_live(production) else []),
    ]


def test_the_trainer_reaches_nobody_but_live(production: list[Manifest]) -> None:
    """The pod that holds everybody's interactions has no way out, and one within only where it learns from live."""
    (trainer,) = trainers(production)
    live = listened_ports(_one(production, "live"), production)["grpc"]
    assert _open(production, trainer, "egress") == ({live, 53} if _learns_from_live(production) else set())
    assert _open(production, trainer, "ingress") == set()


def _learns_from_live(manifests: Sequence[Manifest]) -> bool:
    (trainer,) = trainers(manifests)
    return any("collect" in container["command"] for container in trainer.containers)


def _specs(manifests: Sequence[Manifest]) -> Iterator[Any]:
    return (policy["spec"] for policy in of_kind(manifests, "NetworkPolicy"))


def _selected(manifests: Sequence[Manifest], selector: dict[str, Any]) -> list[Workload]:
    found = [workload for workload in workloads(manifests) if selects(selector, workload.labels)]
    assert found, f"{selector} selects nothing"
    return found


def _one(manifests: Sequence[Manifest], name: str) -> Workload:
    (found,) = (workload for workload in services(manifests) if workload.name == name)
    return found


def _open(manifests: Sequence[Manifest], workload: Workload, direction: str) -> set[int]:
    return {
        port["port"]
        for spec in _specs(manifests)
        if selects(spec["podSelector"], workload.labels)
        for rule in spec.get(direction, [])
        for port in rule["ports"]
    }
