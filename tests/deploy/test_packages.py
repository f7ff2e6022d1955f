"""The images install locked packages only."""

import re
from collections.abc import Sequence
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy.check.audit import Vulnerable, verdict
from deploy.check.kustomize import DEPLOY, ROOT
from deploy.check.locks import EXTRAS, LOCKS, PYTHON, pins, requirements
from deploy.check.sbom import IMAGES, pytorch

_LOCKS = ("build", *EXTRAS)


@pytest.mark.parametrize("lock", _LOCKS)
def test_a_lock_satisfies_the_ranges(lock: str) -> None:
    """Proves that a changed range is a reason to lock again: make locks."""
    versions = {canonicalize_name(pin.name): pin.version for pin in pins(lock)}
    wanted = [Requirement(one) for one in requirements(lock)]
    assert wanted
    lacking = [
        str(one)
        for one in wanted
        if not one.specifier.contains(versions.get(canonicalize_name(one.name), "0"), prereleases=True)
    ]
    assert lacking == []


@pytest.mark.parametrize("lock", _LOCKS)
def test_every_package_of_a_lock_has_hashes(lock: str) -> None:
    """Proves that pip can compare each file, and that the lock names no place to fetch from."""
    text = (LOCKS / f"{lock}.txt").read_text()
    assert pins(lock)
    for pin in pins(lock):
        assert pin.hashes, pin.name
        assert [one for one in pin.hashes if not re.fullmatch(r"sha256:[0-9a-f]{64}", one)] == []
    assert len(pins(lock)) == text.count("==")
    assert "://" not in text
    assert {line.split("=")[0].strip() for line in text.splitlines() if line.strip().startswith("--")} == {"--hash"}


def test_both_locks_of_images_agree() -> None:
    """Proves that the trainer writes bundles with the versions that the services read them with."""
    serving, trainer = ({pin.name: pin.version for pin in pins(lock)} for lock in EXTRAS)
    assert {
        name: (serving[name], trainer[name]) for name in serving.keys() & trainer if serving[name] != trainer[name]
    } == {}


def test_the_images_install_from_the_locks_alone() -> None:
    """Proves that each pip of the Dockerfile demands hashes or takes no dependencies, PyTorch by its version."""
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    assert f"ARG PYTHON_IMAGE=python:{PYTHON}-" in text
    installs = re.findall(r"pip (?:install|wheel) [^&\n]*", text)
    hashed = [one.split()[-1] for one in installs if "--require-hashes" in one]
    assert sorted(hashed) == sorted(f"deploy/locks/{lock}.txt" for lock in _LOCKS)
    others = [one for one in installs if "--require-hashes" not in one]
    assert len(others) == 4
    assert [one for one in others if "--no-deps" not in one] == []
    (pinned,) = (one for one in others if "torch" in one)
    assert f"'{pytorch()}'" in pinned
    (torch_range,) = re.findall(r'"(torch[><=][^"]*)"', (ROOT / "pyproject.toml").read_text())
    assert Requirement(torch_range).specifier.contains(pytorch().partition("==")[2])


def test_every_image_has_a_lock_for_its_bill_of_materials() -> None:
    """Proves that no image of the Dockerfile is left out."""
    stages = re.findall(r"^FROM \S+ AS (\S+)$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    assert sorted(IMAGES) == sorted(stage for stage in stages if stage in {"retrieval", "ranking", "live", "trainer"})
    assert set(IMAGES.values()) == set(EXTRAS)


_SOUND = {"name": "a", "version": "1", "vulns": []}
_UNKNOWN = {"name": "b", "version": "1", "skip_reason": "not found"}
_WEAK = {"name": "c", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"]}]}


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([_SOUND], "1 packages without a finding"),
        ([_SOUND, _UNKNOWN], "1 packages without a finding; not looked up: b"),
    ],
)
def test_packages_that_nobody_looked_up_are_named(found: Sequence[dict[str, Any]], said: str) -> None:
    """Proves that unseen packages do not count: pip-audit itself succeeds even when it could look up nothing."""
    assert verdict(found) == said


def test_a_finding_fails_the_audit() -> None:
    """Proves that the package, its version, the finding and the remedy are named."""
    with pytest.raises(Vulnerable, match="c 1: PYSEC-1, fixed in 2"):
        verdict([_SOUND, _WEAK])
