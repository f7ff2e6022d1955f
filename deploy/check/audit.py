"""``python -m deploy.check.audit``: looks for known vulnerabilities of the locked packages.

Exits with 1 for a finding. Where the database of PyPI cannot be reached, says so and exits with 0.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from deploy.check import tools
from deploy.check.locks import EXTRAS, LOCKS

SKIPPED = "skipped: the database cannot be reached"
# The few packages of this lock show within a second or two whether the database answers.
_PROBE = "build"
_PROBE_SECONDS = 8.0
_SECONDS = 60.0


class Vulnerable(RuntimeError):  # noqa: N818
    """Locked packages have known vulnerabilities; names them."""


def audit() -> str:
    """Asks for every lock.

    Returns:
        The number of packages without a finding, or that the database cannot be reached.

    Raises:
        Vulnerable: there are findings.
        ToolFailed: a lock cannot be read, or pip-audit is missing.
    """
    found: list[Mapping[str, Any]] = []
    for lock, seconds in ((_PROBE, _PROBE_SECONDS), *((lock, _SECONDS) for lock in EXTRAS)):
        answer = _ask(lock, seconds)
        if not any("vulns" in one for one in answer):
            return SKIPPED
        found += answer
    return verdict(found)


def verdict(found: Sequence[Mapping[str, Any]]) -> str:
    """Sums up pip-audit's entries of packages.

    Raises:
        Vulnerable: there are findings.
    """
    findings = dict.fromkeys(line for one in found for line in _findings(one))
    if findings:
        raise Vulnerable("\n".join(findings))
    names = {one["name"] for one in found if "vulns" in one}
    # pip-audit itself succeeds when it could look up nothing.
    unknown = sorted({one["name"] for one in found} - names)
    return f"{len(names)} packages without a finding" + (f"; not looked up: {', '.join(unknown)}" if unknown else "")


def _ask(lock: str, seconds: float) -> list[Mapping[str, Any]]:
    path = LOCKS / f"{lock}.txt"
    how = ["--require-hashes", "--disable-pip", "--progress-spinner", "off", "--format", "json", "--timeout", "3"]
    program = tools.PACKAGE_TOOLS / "pip-audit"
    if not program.is_file():
        raise tools.ToolFailed("pip-audit is missing; make audit installs it")
    command = [str(program), "--requirement", str(path), *how]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds)
    except subprocess.TimeoutExpired:
        return []
    if done.stdout:
        return list(json.loads(done.stdout)["dependencies"])
    # Without an answer of the database, pip-audit prints nothing but the error.
    if "Connection" in done.stderr or "Service" in done.stderr:
        return []
    raise tools.ToolFailed(done.stderr.strip())


def _findings(package: Mapping[str, Any]) -> Iterator[str]:
    for one in package.get("vulns", ()):
        fixed = ", ".join(one["fix_versions"]) or "no release yet"
        yield f"{package['name']} {package['version']}: {one['id']}, fixed in {fixed}"


if __name__ == "__main__":
    try:
        print(audit())
    except (Vulnerable, tools.ToolFailed) as error:
        sys.exit(str(error))
