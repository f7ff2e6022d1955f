"""Runs third-party checkers, which have an environment of their own."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from deploy.check.kustomize import DEPLOY, ROOT

_TOOLS = ROOT / "build" / "manifests-venv" / "bin"
# uv, pip-audit, cyclonedx-py, build and twine, whose libraries are other versions than checkov's.
PACKAGE_TOOLS = ROOT / "build" / "packages-venv" / "bin"
KUBERNETES = ("1.33", "1.35", "1.37")
# The policies of checkov that the manifests break on purpose, with the reason; below, those of one overlay only.
_SKIPPED = {
    "CKV_K8S_43": "a digest exists only after the push of an image; a release sets it with kustomize edit set image",
    "CKV_K8S_15": "tags are never moved, and a pod must restart while the registry is away",
}
_SKIPPED_IN = {
    "dev": {"CKV2_K8S_6": "no NetworkPolicies, so that a developer reaches everything and the job can fetch its data"},
}


class ToolFailed(RuntimeError):  # noqa: N818
    """A checker complained, or is missing; says why."""


def validate(manifests: Path, version: str) -> None:
    """Validates a file of manifests by the schemas of a Kubernetes version; refuses unknown fields.

    Raises:
        ToolFailed: a manifest is invalid; quotes the first complaint.
    """
    _run("kubernetes-validate", ["--strict", "--kubernetes-version", version, str(manifests)])


def skipped(overlay: str) -> dict[str, str]:
    """The policies of checkov that are skipped for an overlay, and the reasons."""
    return _SKIPPED | _SKIPPED_IN.get(overlay, {})


def checkov(manifests: Path, overlay: str) -> int:
    """Runs checkov's policies, except the skipped ones, over an overlay's manifests, without the network.

    Returns:
        The number of passed checks.

    Raises:
        ToolFailed: a policy failed, or nothing was checked; names the policies and the resources.
    """
    how = ["--framework", "kubernetes", "--compact", "--quiet", "--skip-download", "--soft-fail", "--output", "json"]
    result = json.loads(_run("checkov", [*how, "--skip-check", ",".join(skipped(overlay)), "-f", str(manifests)]))
    if "summary" not in result or not result["summary"]["passed"]:
        raise ToolFailed("nothing was checked")
    failed = result["results"]["failed_checks"]
    if failed:
        raise ToolFailed("\n".join(f"{one['check_id']} {one['check_name']}: {one['resource']}" for one in failed))
    return int(result["summary"]["passed"])


def hadolint() -> None:
    """Lints the Dockerfile.

    Raises:
        ToolFailed: the linter complained; quotes the complaints.
    """
    _run("hadolint", [str(DEPLOY / "Dockerfile")])


def compose() -> None:
    """Validates ``compose.yaml`` by the schema of the Compose specification, which the tool brings.

    Raises:
        ToolFailed: the file is invalid; quotes the complaints.
    """
    _run("check-jsonschema", ["--builtin-schema", "vendor.compose-spec", str(ROOT / "compose.yaml")])


def _run(name: str, arguments: Sequence[str]) -> str:
    program = _TOOLS / name
    if not program.is_file():
        raise ToolFailed(f"{name} is missing; make manifests installs it")
    environment = {**os.environ, "BC_SKIP_MAPPING": "TRUE"}
    command = [str(program), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise ToolFailed((done.stdout + done.stderr).strip())
    return done.stdout
