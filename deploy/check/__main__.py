"""``python -m deploy.check``: builds every overlay and checks it with schemas, linters and our own policies.

Prints each check; runs all of them, then exits with 1 if one failed.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import yaml

from deploy.check import generated, images, operator_resources, sbom, tools
from deploy.check.audit import Vulnerable, audit
from deploy.check.kustomize import NAMES, ROOT, KustomizeFailed, Manifest, build_overlay
from deploy.check.size import LIMIT_MB, TooLarge, serving_megabytes

_BUILT = ROOT / "build" / "manifests"
_FAILURES = (KustomizeFailed, tools.ToolFailed, TooLarge, Vulnerable, subprocess.CalledProcessError)


class _Failed(Exception):  # noqa: N818
    """A check of this module failed."""


def main() -> int:
    """Runs every check; returns the exit code."""
    failed = 0
    for name, check in _checks():
        try:
            print(f"ok      {name}{check()}", flush=True)
        except (_Failed, *_FAILURES) as error:
            failed += 1
            print(f"FAILED  {name}\n{error}", flush=True)
    return 1 if failed else 0


def _checks() -> Iterator[tuple[str, Callable[[], str]]]:
    yield "hadolint deploy/Dockerfile", _silent(tools.hadolint)
    yield "compose.yaml by the Compose specification", _silent(tools.compose)
    yield "deploy/components/monitoring is generated from deploy/monitoring", _up_to_date
    for name in NAMES:
        yield from _checks_of(name)
    yield "policies: tests/deploy", _policies
    yield "known vulnerabilities of the locked packages", lambda: f": {audit()}"
    yield "bills of materials, build/sbom", lambda: f": {len(sbom.write())}"
    yield f"packages of a serving image, below {LIMIT_MB} MB", lambda: f": {serving_megabytes():.0f} MB"


def _checks_of(name: str) -> Iterator[tuple[str, Callable[[], str]]]:
    _BUILT.mkdir(parents=True, exist_ok=True)
    core, everything = _BUILT / f"{name}-core.yaml", _BUILT / f"{name}.yaml"
    core.unlink(missing_ok=True)

    def built() -> str:
        manifests = build_overlay(name)
        everything.write_text(yaml.safe_dump_all(manifests))
        core.write_text(yaml.safe_dump_all([one for one in manifests if not _of_operator(one)]))
        return f": {len(manifests)} resources"

    yield f"kustomize {name}", built
    if not core.exists():
        return
    for version in tools.KUBERNETES:
        yield f"schemas of Kubernetes {version}: {name}", _silent(partial(tools.validate, core, version))
    yield f"the Prometheus operator's resources: {name}", lambda: _operator(everything)
    yield f"checkov: {name}", lambda: _checkov(everything, name)
    yield f"all images by digest, or none: {name}", lambda: _digests(everything)


def _silent(check: Callable[[], None]) -> Callable[[], str]:
    def run() -> str:
        check()
        return ""

    return run


def _checkov(path: Path, overlay: str) -> str:
    passed = f": {tools.checkov(path, overlay)} passed"
    return passed + "".join(f"\n        skips {policy}: {reason}" for policy, reason in tools.skipped(overlay).items())


def _of_operator(manifest: Manifest) -> bool:
    return str(manifest["apiVersion"]).startswith(operator_resources.GROUP)


def _operator(path: Path) -> str:
    manifests = [one for one in yaml.safe_load_all(path.read_text()) if _of_operator(one)]
    complaints = [complaint for manifest in manifests for complaint in operator_resources.complaints(manifest)]
    if complaints:
        raise _Failed("\n".join(complaints))
    return f": {len(manifests)}"


def _digests(path: Path) -> str:
    manifests = list(yaml.safe_load_all(path.read_text()))
    lacking = images.without_digest(manifests)
    if not lacking:
        return ": all"
    if lacking != images.images(manifests):
        raise _Failed(f"others have a digest, these have none: {', '.join(lacking)}")
    return ": none; python -m deploy.check.images refuses that before a release"


def _up_to_date() -> str:
    stale = generated.stale()
    if stale:
        raise _Failed(f"run python -m deploy.check.generated: {', '.join(stale)}")
    return ""


def _policies() -> str:
    command = [sys.executable, "-m", "pytest", "--quiet", str(ROOT / "tests" / "deploy")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        raise _Failed(done.stdout)
    return f": {done.stdout.strip().splitlines()[-1]}"


if __name__ == "__main__":
    sys.exit(main())
