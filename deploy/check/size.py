"""Measures the Python packages of a serving image."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from deploy.check.kustomize import ROOT
from deploy.check.locks import LOCKS

# The files of our own package, as deploy/Dockerfile copies them into the build.
SOURCES = (
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "shortlist",
    "retrieval_service",
    "ranking_service",
    "live_service",
    "trainer",
)
LIMIT_MB = 450


class TooLarge(RuntimeError):  # noqa: N818
    """The packages are larger than ``LIMIT_MB``, or torch is among them."""


def serving_megabytes() -> float:
    """Installs a serving image's packages into an empty directory, and returns their size in MB.

    Raises:
        TooLarge: the packages exceed ``LIMIT_MB``, or include torch.
        CalledProcessError: the installation failed.
    """
    with tempfile.TemporaryDirectory() as directory:
        sources, target = Path(directory) / "sources", Path(directory) / "target"
        _copy(sources)
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(target)]
        # A package that the lock lacks, or whose file has another hash, ends the installation.
        subprocess.run([*command, "--require-hashes", "--requirement", str(LOCKS / "serving.txt")], check=True)
        subprocess.run([*command, "--no-deps", str(sources)], check=True)
        megabytes = sum(path.stat().st_size for path in target.rglob("*") if path.is_file()) / 2**20
        if (target / "torch").exists():
            raise TooLarge("serving installs torch")
    if megabytes >= LIMIT_MB:
        raise TooLarge(f"serving installs {megabytes:.0f} MB of packages")
    return megabytes


def _copy(directory: Path) -> None:
    directory.mkdir()
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, directory)
