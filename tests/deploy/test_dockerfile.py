"""The contents of the images, by the Dockerfile."""

import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deploy.check.kustomize import DEPLOY, ROOT, Manifest
from deploy.check.locks import pins
from deploy.check.size import SOURCES
from tests.support.manifests import listened_ports, services

_INSTRUCTION = re.compile(r"([A-Z]+) (.*)")


@dataclass(kw_only=True)
class _Stage:
    parent: str
    instructions: list[tuple[str, str]] = field(default_factory=list)


@pytest.fixture(scope="module")
def stages() -> dict[str, _Stage]:
    """The stages by name, in order."""
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    found: dict[str, _Stage] = {}
    for instruction, rest in _INSTRUCTION.findall("\n".join(line for line in text.splitlines() if line[:1] != "#")):
        if instruction == "FROM":
            parent, _, name = rest.split()
            found[name] = stage = _Stage(parent=parent)
        elif found:
            stage.instructions.append((instruction, rest))
    return found


@pytest.mark.parametrize("target", ["retrieval", "ranking", "live"])
def test_a_serving_image_has_no_torch(target: str, stages: dict[str, _Stage]) -> None:
    """No stage that it is built or copied from installs torch or the extra that needs it."""
    for name in _sources(target, stages):
        for _, rest in stages[name].instructions:
            assert "torch" not in rest
            assert "trainer.txt" not in rest
    assert [pin.name for pin in pins("serving") if pin.name in ("torch", "polars", "onnx")] == []


@pytest.mark.parametrize("target", ["retrieval", "ranking", "live", "trainer"])
def test_an_image_runs_as_a_numbered_user(target: str, stages: dict[str, _Stage]) -> None:
    """By a number, unlike a name, Kubernetes can see that the user is not root."""
    users = [rest for name in _lineage(target, stages) for kind, rest in stages[name].instructions if kind == "USER"]
    assert users
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1])


def test_an_image_exposes_the_ports_of_its_pod(production: list[Manifest], stages: dict[str, _Stage]) -> None:
    """The image's ports and command are those of the manifests."""
    for workload in services(production):
        instructions = dict(stages[workload.name].instructions)
        assert {int(port) for port in instructions["EXPOSE"].split()} == set(
            listened_ports(workload, production).values()
        )
        assert f'"{workload.service["command"][2]}"' in instructions["CMD"]
        assert workload.service["image"].startswith(f"shortlist-{workload.name}:")


def test_an_image_keeps_onnx_runtime_from_calling_out(stages: dict[str, _Stage]) -> None:
    """Proves that its telemetry is off in every image before any code of ours runs."""
    assert all("python" in _lineage(target, stages) for target in ("retrieval", "ranking", "live", "trainer"))
    (variables,) = (rest for kind, rest in stages["python"].instructions if kind == "ENV")
    assert "ORT_DISABLE_TELEMETRY=1" in variables.split()


def test_the_build_copies_existing_files(stages: dict[str, _Stage]) -> None:
    """.dockerignore admits exactly the copied files, and the size check measures the same files."""
    copied = {
        source
        for stage in stages.values()
        for kind, rest in stage.instructions
        if kind == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    }
    assert [source for source in copied if not (ROOT / source).exists()] == []
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    # A stage may copy a part of an allowed folder.
    assert {one if one in allowed else Path(one).parts[0] for one in copied} == allowed
    in_build = {source for kind, rest in stages["build"].instructions if kind == "COPY" for source in rest.split()[:-1]}
    assert in_build == {*SOURCES, "deploy/locks"}


def test_the_dev_overlay_needs_no_code_outside_the_trainers_image() -> None:
    """Its job fetches the data by ``demo.movielens``; the image has no testbed, which only the demo's services need."""
    code = "import sys; sys.modules |= dict.fromkeys(('testbed', 'bench', 'tests')); import demo.movielens"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def _lineage(target: str, stages: dict[str, _Stage]) -> list[str]:
    parent = stages[target].parent
    return [*(_lineage(parent, stages) if parent in stages else []), target]


def _sources(target: str, stages: dict[str, _Stage]) -> list[str]:
    found = _lineage(target, stages)
    for name in list(found):
        for _, rest in stages[name].instructions:
            found += [one for other in re.findall(r"--from=(\S+)", rest) for one in _lineage(other, stages)]
    return found
