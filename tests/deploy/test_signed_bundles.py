"""Production serves signed bundles only."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.check.kustomize import DEPLOY, Manifest
from shortlist.bundle.signature import check_private_key, sign, verify_signature
from shortlist.errors import BundleError
from tests.support.manifests import environment, volume_at, with_bundles, workloads

_COMPONENT = DEPLOY / "components" / "signed-bundles"
_VARIABLE = "SHORTLIST_BUNDLE_PUBLIC_KEY"


def test_every_pod_that_serves_or_pulls_has_the_public_key(production: list[Manifest]) -> None:
    """Proves that each container of both services names the mounted file, and that no service starts without it."""
    for workload in with_bundles(production):
        for container in workload.containers:
            path = Path(environment(container, production)[_VARIABLE])
            volume = volume_at(workload, container, str(path.parent))
            assert volume["configMap"]["name"].startswith("bundle-public-key-")
            assert path.name == "public.pem"


def test_the_trainer_alone_has_the_private_key(production: list[Manifest]) -> None:
    """Proves that one container mounts it, which signs with it, and that the next one checks the pair."""
    (trainer,) = (one for one in workloads(production) if one.manifest["kind"] == "CronJob")
    holders = [
        (workload.name, container["name"])
        for workload in workloads(production)
        for container in workload.containers
        for mount in container["volumeMounts"]
        if mount["name"] == "bundle-private-key"
    ]
    assert holders == [("trainer", "trainer")]
    fit = trainer.pod["initContainers"][-1]
    key = Path(fit["command"][fit["command"].index("--sign-key") + 1])
    assert volume_at(trainer, fit, str(key.parent))["secret"]["secretName"] == "bundle-private-key"
    assert key.name == "private.pem"
    assert Path(environment(trainer.service, production)[_VARIABLE]).name == "public.pem"


def test_the_placeholder_is_refused_by_name(tmp_path: Path) -> None:
    """Proves that a forgotten key is an error that names its file, not a service that accepts anything."""
    with pytest.raises(BundleError, match=r"public\.pem: is not a public key"):
        verify_signature(tmp_path, _COMPONENT / "public.pem")


def test_the_readmes_commands_make_a_pair(tmp_path: Path) -> None:
    """Proves that the trainer can sign with the private key, and that the services' check accepts the public one."""
    program = shutil.which("openssl")
    assert program is not None
    commands = re.findall(r"^openssl .*$", (_COMPONENT / "README.md").read_text(), re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        subprocess.run(command.split(), check=True, cwd=tmp_path, capture_output=True)
    check_private_key(tmp_path / "private.pem")
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "manifest.json").write_text("{}")
    sign(bundle, tmp_path / "private.pem")
    verify_signature(bundle, tmp_path / "public.pem")
