"""The images, as the Dockerfile builds them."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deploy.check.kustomize import DEPLOY, ROOT, Manifest
from deploy.check.manifests import deployments, listened_ports
from deploy.check.size import SOURCES

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
        else:
            stage.instructions.append((instruction, rest))
    return found


@pytest.mark.parametrize("target", ["retrieval", "ranking"])
def test_a_serving_image_has_no_torch(target: str, stages: dict[str, _Stage]) -> None:
    """Proves that no stage that it is built from or copied from installs it, nor the extra that needs it."""
    for name in _sources(target, stages):
        for _, rest in stages[name].instructions:
            assert "torch" not in rest
            assert "train]" not in rest
            assert "train]" not in rest


def test_the_trainer_installs_torch_before_what_needs_it(stages: dict[str, _Stage]) -> None:
    """Proves that the CPU build is there first, so that pip has no reason to fetch the CUDA build."""
    runs = [rest for name in _sources("trainer", stages) for kind, rest in stages[name].instructions if kind == "RUN"]
    (install,) = (run for run in runs if "train]" in run)
    assert install.index("--index-url") < install.index("'torch>=") < install.index("train]")
    (wanted,) = re.findall(r"'(torch[^']*)'", install)
    assert f'"{wanted}"' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize("target", ["retrieval", "ranking", "trainer"])
def test_an_image_runs_as_a_user_by_number(target: str, stages: dict[str, _Stage]) -> None:
    """Proves that Kubernetes can see that it is not root, which it cannot by a name."""
    users = [rest for name in _lineage(target, stages) for kind, rest in stages[name].instructions if kind == "USER"]
    assert users
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1])


def test_an_image_exposes_what_its_pod_listens_on(production: list[Manifest], stages: dict[str, _Stage]) -> None:
    """Proves that the image's ports and start are those of the manifests."""
    for workload in deployments(production):
        instructions = dict(stages[workload.name].instructions)
        assert {int(port) for port in instructions["EXPOSE"].split()} == set(
            listened_ports(workload, production).values()
        )
        assert f'"{workload.service["command"][2]}"' in instructions["CMD"]
        assert workload.service["image"].startswith(f"shortlist-{workload.name}:")


def test_the_build_copies_what_there_is(stages: dict[str, _Stage]) -> None:
    """Proves that .dockerignore lets through exactly the copied files, and that the measured size is theirs."""
    copied = {
        source
        for stage in stages.values()
        for kind, rest in stage.instructions
        if kind == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    }
    assert [source for source in copied if not (ROOT / source).exists()] == []
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {Path(source).parts[0] for source in copied} == allowed
    in_build = {source for kind, rest in stages["build"].instructions if kind == "COPY" for source in rest.split()[:-1]}
    assert in_build == set(SOURCES)


def _lineage(target: str, stages: dict[str, _Stage]) -> list[str]:
    parent = stages[target].parent
    return [*(_lineage(parent, stages) if parent in stages else []), target]


def _sources(target: str, stages: dict[str, _Stage]) -> list[str]:
    found = _lineage(target, stages)
    for name in list(found):
        for _, rest in stages[name].instructions:
            found += [one for other in re.findall(r"--from=(\S+)", rest) for one in _lineage(other, stages)]
    return found
