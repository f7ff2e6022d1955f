"""Third-party programs, in an environment of their own."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from deploy.check.kustomize import DEPLOY, ROOT

TOOLS = ROOT / "build" / "manifests-venv" / "bin"
KUBERNETES = ("1.33", "1.35", "1.37")
# The policies of checkov that the manifests do not meet, with the reason; those of one overlay under its name.
_SKIPPED = {
    "CKV_K8S_43": "a digest exists once an image is pushed; whoever releases sets it with kustomize edit set image",
    "CKV_K8S_15": "tags are never moved, and a pod that restarts has to come up while the registry is away",
}
_SKIPPED_IN = {
    "dev": {"CKV2_K8S_6": "without NetworkPolicies, so that a developer reaches everything and the data are fetched"},
}


class ToolFailed(RuntimeError):  # noqa: N818 - it is what happened
    """A program is missing or found errors, which the message names."""


def validate(manifests: Path, version: str) -> None:
    """Holds a file of manifests against the schemas of a Kubernetes version; unknown fields are refused.

    Raises:
        ToolFailed: says the first complaint.
    """
    _run("kubernetes-validate", ["--strict", "--kubernetes-version", version, str(manifests)])


def skipped(overlay: str) -> dict[str, str]:
    """The policies of checkov that an overlay skips, with the reason."""
    return _SKIPPED | _SKIPPED_IN.get(overlay, {})


def checkov(manifests: Path, overlay: str) -> int:
    """Runs checkov's policies over an overlay's manifests, without the skipped ones and without the network.

    Returns:
        How many checks passed.

    Raises:
        ToolFailed: says which policies fail where, or that nothing was checked.
    """
    how = ["--framework", "kubernetes", "--compact", "--quiet", "--skip-download", "--soft-fail", "--output", "json"]
    told = json.loads(_run("checkov", [*how, "--skip-check", ",".join(skipped(overlay)), "-f", str(manifests)]))
    if "summary" not in told or not told["summary"]["passed"]:
        raise ToolFailed("nothing was checked")
    failed = told["results"]["failed_checks"]
    if failed:
        raise ToolFailed("\n".join(f"{one['check_id']} {one['check_name']}: {one['resource']}" for one in failed))
    return int(told["summary"]["passed"])


def hadolint() -> None:
    """Lints the Dockerfile.

    Raises:
        ToolFailed: says the complaints.
    """
    _run("hadolint", [str(DEPLOY / "Dockerfile")])


def _run(name: str, arguments: Sequence[str]) -> str:
    program = TOOLS / name
    if not program.is_file():
        raise ToolFailed(f"{name} is missing; make manifests installs it")
    environment = {**os.environ, "BC_SKIP_MAPPING": "TRUE"}
    command = [str(program), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise ToolFailed((done.stdout + done.stderr).strip())
    return done.stdout
