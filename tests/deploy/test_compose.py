"""``compose.yaml`` against the Dockerfile, the flags and a real health check. ``make manifests`` has its schema."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml

from demo.__main__ import BUILD
from deploy.check.kustomize import DEPLOY, ROOT
from shortlist.serving.health import Health

_SERVICES = ("retrieval", "ranking", "live")
_WITH_BUNDLES = ("retrieval", "ranking")


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    """The services by name."""
    found: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    assert {*found} == {*_SERVICES}
    return found


@pytest.fixture
def health() -> Iterator[tuple[Health, str]]:
    """A service's health on a port of its own, and the address."""
    server = grpc.server(ThreadPoolExecutor(1))
    health = Health(["shortlist.ranking.v1.RankingService"])
    health.add_to(server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield health, f"127.0.0.1:{port}"
    server.stop(None).wait()


def _image(target: str) -> tuple[list[str], list[str]]:
    """The exposed ports and the command of a target of the Dockerfile."""
    text = (DEPLOY / "Dockerfile").read_text()
    (found,) = re.findall(rf"^FROM \S+ AS {target}\n(?:#.*\n|COPY .*\n)*EXPOSE (.*)\nCMD (.*)$", text, re.MULTILINE)
    return found[0].split(), json.loads(found[1])


@pytest.mark.parametrize("name", _SERVICES)
def test_compose_publishes_the_ports_of_the_image(name: str, services: dict[str, dict[str, Any]]) -> None:
    """Proves that each service is built from its own target, and is to be reached from this machine only."""
    build, (exposed, command) = services[name]["build"], _image(name)
    assert (ROOT / build["context"] / build["dockerfile"]).is_file()
    assert build["target"] == name
    published = [port.split(":") for port in services[name]["ports"]]
    assert {host for host, _, _ in published} == {"127.0.0.1"}
    assert {inner for _, _, inner in published} <= {*exposed}
    own = command[command.index("--listen") + 1].rpartition(":")[2]
    assert [own, own] in [[outer, inner] for _, outer, inner in published]


def test_compose_publishes_no_port_twice(services: dict[str, dict[str, Any]]) -> None:
    """Proves that all services start beside each other."""
    outer = [port.split(":")[1] for service in services.values() for port in service["ports"]]
    assert len(outer) == len({*outer})


@pytest.mark.parametrize("name", _SERVICES)
def test_compose_sets_flags_that_the_service_has(
    name: str, services: dict[str, dict[str, Any]], defaults_of: Callable[[str], dict[str, str]]
) -> None:
    """Proves that no variable is ignored, and that a drain ends before Docker kills."""
    defaults = defaults_of(name)
    assert services[name]["environment"].keys() <= defaults.keys()
    settings = defaults | services[name]["environment"]
    drain = sum(float(settings[f"SHORTLIST_DRAIN_{kind}SECONDS"]) for kind in ("DELAY_", ""))
    assert float(services[name]["stop_grace_period"].removesuffix("s")) >= drain + 5


def test_ranking_calls_the_services_of_the_same_file(services: dict[str, dict[str, Any]]) -> None:
    """Proves that the targets are the names and the ports of the others, which serve before ranking starts."""
    others = ("retrieval", "live")
    for name in others:
        port = _image(name)[1][-1].rpartition(":")[2]
        assert services["ranking"]["environment"][f"SHORTLIST_{name.upper()}"] == f"dns:///{name}:{port}"
    assert (
        services["retrieval"]["environment"]["SHORTLIST_LIVE"] == services["ranking"]["environment"]["SHORTLIST_LIVE"]
    )
    assert services["retrieval"]["depends_on"] == {"live": {"condition": "service_healthy"}}
    assert services["ranking"]["depends_on"] == {name: {"condition": "service_healthy"} for name in others}


def test_events_outlive_their_container(services: dict[str, dict[str, Any]]) -> None:
    """Proves that the file lies in a named volume, whose folder belongs to the user of the image."""
    (volume,) = services["live"]["volumes"]
    name, folder = volume.split(":")
    assert name in yaml.safe_load((ROOT / "compose.yaml").read_text())["volumes"]
    assert str(Path(services["live"]["environment"]["SHORTLIST_STORE"]).parent) == folder
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    assert f"--chown=10001:10001 {folder} {folder}" in dockerfile
    assert "USER 10001:10001" in dockerfile


@pytest.mark.parametrize("name", _WITH_BUNDLES)
def test_compose_serves_the_bundles_of_the_demo(name: str, services: dict[str, dict[str, Any]]) -> None:
    """Proves that what make demo leaves is mounted where the service looks, and that a service cannot change it."""
    (volume,) = services[name]["volumes"]
    assert Path(volume["source"]) == BUILD / "bundles"
    assert volume["target"] == services[name]["environment"]["SHORTLIST_BUNDLES"]
    assert volume["read_only"] is True
    # Else Docker makes an empty directory that belongs to root, and the next make demo fails.
    assert volume["bind"] == {"create_host_path": False}


@pytest.mark.parametrize("name", _SERVICES)
def test_the_health_check_says_whether_a_service_serves(
    name: str, services: dict[str, dict[str, Any]], health: tuple[Health, str]
) -> None:
    """Proves by the command itself that a container is healthy exactly while readiness is SERVING."""
    state, address = health
    kind, _, *arguments = services[name]["healthcheck"]["test"]
    assert kind == "CMD"
    own = services[name]["environment"]["SHORTLIST_HEALTH_LISTEN"]
    assert arguments[-1].count(own) == 1
    command = [sys.executable, *arguments[:-1], arguments[-1].replace(own, address)]
    codes = []
    for change in (state.drains, state.serves, state.drains):
        change()
        codes.append(subprocess.run(command, check=False, timeout=30).returncode)
    assert codes == [1, 0, 1]
