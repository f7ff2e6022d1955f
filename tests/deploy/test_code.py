"""The manifests agree with the code."""

import re
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

import pytest

from deploy.check.kustomize import DEPLOY, Manifest
from shortlist.serving.health import LIVENESS, READINESS, STARTUP
from tests.support.manifests import SERVICES, environment, listened_ports, of_kind, services, workloads
from trainer.recipe import Recipe

_TWIN = re.compile(r"SHORTLIST_\w+")


def test_every_setting_is_the_variable_of_a_flag(
    manifests: list[Manifest], defaults_of: Callable[[str], dict[str, str]]
) -> None:
    """No variable is misspelt or obsolete: its service has a flag of that name; of shared settings, any service."""
    shared = set().union(*(defaults_of(name) for name in SERVICES))
    assert sorted(one.name for one in services(manifests)) == sorted(SERVICES)
    for workload in services(manifests):
        given = {name for name in environment(workload.service, manifests) if _TWIN.fullmatch(name)}
        own = {one["name"] for one in workload.service["env"] if _TWIN.fullmatch(one["name"])}
        assert own
        assert own - set(defaults_of(workload.name)) == given - shared == set()


def test_the_container_ports_are_the_listening_ports(manifests: list[Manifest]) -> None:
    """The declared ports are exactly those of the service's settings."""
    for workload in services(manifests):
        declared = {port["name"]: port["containerPort"] for port in workload.service["ports"]}
        assert declared == listened_ports(workload, manifests)
        assert set(declared) == {"grpc", "health", "metrics"}


def test_every_listening_port_can_be_reached_from_other_pods(manifests: list[Manifest]) -> None:
    """No service listens on the loopback, its default."""
    for workload in services(manifests):
        variables = environment(workload.service, manifests)
        listens = {name: value for name, value in variables.items() if name.endswith("LISTEN")}
        assert {value.rpartition(":")[0] for value in listens.values()} == {"0.0.0.0"}  # noqa: S104


def test_a_probe_checks_a_name_that_health_knows(manifests: list[Manifest]) -> None:
    """Each probe checks its own name, on the health port by number: gRPC probes accept no port name."""
    for workload in services(manifests):
        port = listened_ports(workload, manifests)["health"]
        probes = {name: workload.service[f"{name}Probe"]["grpc"] for name in ("startup", "readiness", "liveness")}
        assert probes == {
            "startup": {"port": port, "service": STARTUP},
            "readiness": {"port": port, "service": READINESS},
            "liveness": {"port": port, "service": LIVENESS},
        }


def test_a_service_leads_to_ports_of_its_pods(manifests: list[Manifest]) -> None:
    """All Services are headless, and the selected pods listen on each of their ports."""
    by_name = {workload.name: workload for workload in services(manifests)}
    found = of_kind(manifests, "Service")
    assert sorted(service["metadata"]["name"] for service in found) == sorted(by_name)
    for service in found:
        workload = by_name[service["metadata"]["name"]]
        assert service["spec"]["clusterIP"] == "None"
        assert service["spec"]["selector"].items() <= workload.labels.items()
        listened = listened_ports(workload, manifests)
        assert {port["targetPort"]: port["port"] for port in service["spec"]["ports"]}.items() <= listened.items()


@pytest.mark.parametrize(("caller", "called"), [("ranking", "retrieval"), ("ranking", "live"), ("retrieval", "live")])
def test_a_service_calls_the_services_of_the_others(caller: str, called: str, manifests: list[Manifest]) -> None:
    """The target resolves to all pods (dns:///), and names the Service and its port."""
    by_name = {workload.name: workload for workload in services(manifests)}
    target = urlsplit(environment(by_name[caller].service, manifests)[f"SHORTLIST_{called.upper()}"])
    assert (target.scheme, target.netloc) == ("dns", "")
    port = listened_ports(by_name[called], manifests)["grpc"]
    assert target.path == f"/{called}:{port}"


def test_a_container_runs_an_existing_command_with_existing_flags(
    manifests: list[Manifest], help_of: Callable[[str, Sequence[str]], str]
) -> None:
    """Every command is ours, and its help names every flag."""
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


def test_the_example_recipe_is_valid() -> None:
    """The trainer reads it, so a user starts from a correct recipe."""
    recipe = Recipe.read(DEPLOY / "overlays" / "prod" / "recipe.toml")
    assert recipe.interactions.file == "interactions.parquet"
