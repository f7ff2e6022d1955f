"""The manifests agree with the code of the services."""

import re
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

import pytest

from deploy.check.kustomize import DEPLOY, Manifest
from deploy.check.manifests import SERVICES, deployments, environment, listened_ports, of_kind, workloads
from shortlist.serving.health import LIVENESS, READINESS, STARTUP
from trainer.recipe import Recipe

_TWIN = re.compile(r"SHORTLIST_\w+")


def test_every_setting_is_the_twin_of_a_flag(
    manifests: list[Manifest], defaults_of: Callable[[str], dict[str, str]]
) -> None:
    """Proves that no variable is misspelt or left over: the service that is given it has a flag of that name."""
    assert sorted(one.name for one in deployments(manifests)) == sorted(SERVICES)
    for workload in deployments(manifests):
        given = {name for name in environment(workload.service, manifests) if _TWIN.fullmatch(name)}
        assert given
        assert given - set(defaults_of(workload.name)) == set()


def test_a_container_port_is_one_that_the_service_listens_on(manifests: list[Manifest]) -> None:
    """Proves that the declared ports are exactly the ports that it listens on."""
    for workload in deployments(manifests):
        declared = {port["name"]: port["containerPort"] for port in workload.service["ports"]}
        assert declared == listened_ports(workload, manifests)
        assert set(declared) == {"grpc", "health", "metrics"}


def test_what_listens_can_be_reached_from_other_pods(manifests: list[Manifest]) -> None:
    """Proves that no service listens on the loopback, which is its default."""
    for workload in deployments(manifests):
        variables = environment(workload.service, manifests)
        listens = {name: value for name, value in variables.items() if name.endswith("LISTEN")}
        assert {value.rpartition(":")[0] for value in listens.values()} == {"0.0.0.0"}  # noqa: S104


def test_a_probe_asks_for_a_name_that_health_knows(manifests: list[Manifest]) -> None:
    """Proves that each probe has a name of its own, on the port for health, by its number: gRPC probes take no name."""
    for workload in deployments(manifests):
        port = listened_ports(workload, manifests)["health"]
        probes = {name: workload.service[f"{name}Probe"]["grpc"] for name in ("startup", "readiness", "liveness")}
        assert probes == {
            "startup": {"port": port, "service": STARTUP},
            "readiness": {"port": port, "service": READINESS},
            "liveness": {"port": port, "service": LIVENESS},
        }


def test_a_service_leads_to_ports_that_its_pods_have(manifests: list[Manifest]) -> None:
    """Proves that both Services are headless, and that each port is one that the selected pods listen on."""
    by_name = {workload.name: workload for workload in deployments(manifests)}
    services = of_kind(manifests, "Service")
    assert sorted(service["metadata"]["name"] for service in services) == sorted(by_name)
    for service in services:
        workload = by_name[service["metadata"]["name"]]
        assert service["spec"]["clusterIP"] == "None"
        assert service["spec"]["selector"].items() <= workload.labels.items()
        listened = listened_ports(workload, manifests)
        assert {port["targetPort"]: port["port"] for port in service["spec"]["ports"]}.items() <= listened.items()


def test_ranking_calls_the_service_of_retrieval(manifests: list[Manifest]) -> None:
    """Proves that the target is resolved to all pods (dns:///), and names retrieval's Service and its port."""
    by_name = {workload.name: workload for workload in deployments(manifests)}
    target = urlsplit(environment(by_name["ranking"].service, manifests)["SHORTLIST_RETRIEVAL"])
    assert (target.scheme, target.netloc) == ("dns", "")
    port = listened_ports(by_name["retrieval"], manifests)["grpc"]
    assert target.path == f"/retrieval:{port}"


def test_a_container_starts_what_there_is_with_flags_that_it_has(
    manifests: list[Manifest], help_of: Callable[[str, Sequence[str]], str]
) -> None:
    """Proves that every command is one of ours, and that none is given a flag that its help does not name."""
    for workload in workloads(manifests):
        for container in workload.containers:
            match container["command"]:
                case ["python", "-m", "trainer", command, *arguments]:
                    known = help_of("trainer.__main__", [command])
                case ["python", "-m", module, *arguments]:
                    known = help_of(f"{module}.__main__", [])
                case ["shortlist", group, command, *arguments]:
                    known = help_of("shortlist.cli", [group, command])
                case ["python", "-c", code]:
                    compile(code, container["name"], "exec")
                    continue
                case command:
                    pytest.fail(f"{workload.name}: {command}")
            flags = [argument for argument in arguments if argument.startswith("--")]
            assert [flag for flag in flags if f"{flag} " not in known] == []


def test_the_recipe_to_start_from_is_one() -> None:
    """Proves that the trainer reads it, so that a user begins with a valid recipe."""
    recipe = Recipe.read(DEPLOY / "overlays" / "prod" / "recipe.toml")
    assert recipe.interactions.file == "interactions.parquet"
