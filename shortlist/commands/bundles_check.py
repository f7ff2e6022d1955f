"""Proves in processes of their own that both services can serve a bundle, since a bundle may hang or kill a process."""

import importlib.util
import subprocess
import sys
from pathlib import Path

from shortlist.bundle.operations import Unproven
from shortlist.errors import BundleError

_SERVICES = ("retrieval_service", "ranking_service")
# Its digests are most of the time: ten million items took 13 s from a warm disk.
_SECONDS = 600.0
_USABLE, _REFUSED = 0, 3
_SHOWN = 500


def served_by_services(directory: Path, public_key: Path | None = None) -> None:
    """Lets each service that is installed load a bundle, and answer a first query from it.

    Raises:
        BundleError: a service refuses it.
        Unproven: a service says nothing for ten minutes, is killed, or does not come to the check.
    """
    for service in _SERVICES:
        if importlib.util.find_spec(service) is not None:
            _ask(service, directory, public_key)


def _ask(service: str, directory: Path, public_key: Path | None) -> None:
    command = [sys.executable, "-m", service, "--check", directory.name, "--bundles", str(directory.parent)]
    command += ["--bundle-public-key", str(public_key)] if public_key else []
    try:
        done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise Unproven(directory, f"{service} did not load it within {_SECONDS:g} s", "timeout") from error
    if done.returncode == _USABLE:
        return
    if done.returncode == _REFUSED:
        raise BundleError(directory, f"{service} refuses it: {_last_line(done.stdout)}")
    if done.returncode < 0:
        raise Unproven(directory, f"{service} died of the check, by signal {-done.returncode}")
    raise Unproven(directory, f"{service} ended the check with code {done.returncode}: {_last_line(done.stderr)}")


def _last_line(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1][:_SHOWN] if lines else "it gave no reason"
