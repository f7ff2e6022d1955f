"""``python -m deploy.check.distributions``: builds the sdist and the wheel, and tries the wheel in an empty place.

The wheel is built from the sdist, so that an sdist without a file of the build fails. Both are left in ``build/dist``.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from deploy.check.kustomize import ROOT
from deploy.check.tools import PACKAGE_TOOLS

DIST = ROOT / "build" / "dist"
# Written by the build backend, or read by it.
_SDIST_FILES = {".gitignore", "LICENSE", "PKG-INFO", "README.md", "pyproject.toml"}
_TRAINING = ("torch", "polars", "scipy", "sklearn", "onnx", "onnxscript", "matplotlib", "optuna")
_BUNDLE = """
import sys
from pathlib import Path
from tests.support.small_bundle import BUNDLE_ID, publish_small_bundle
publish_small_bundle(Path(sys.argv[1]))
print(BUNDLE_ID)
"""


class Unusable(RuntimeError):  # noqa: N818
    """A distribution has wrong contents, or does not work; says how."""


def main() -> int:
    """Runs every check and prints it; returns the exit code."""
    try:
        sdist, wheel = build()
        print(f"ok      built from {sdist.name}, and accepted by twine: {wheel.name}", flush=True)
        wanted = tracked()
        for path in (sdist, wheel):
            check_contents(path, wanted)
        print(f"ok      both have the {len(wanted)} files of the packages, and no other", flush=True)
        with tempfile.TemporaryDirectory() as directory:
            for tried in _tries(wheel, Path(directory)):
                print(f"ok      in an empty environment: {tried}", flush=True)
    except Unusable as error:
        print(f"FAILED  {error}", flush=True)
        return 1
    return 0


def build() -> tuple[Path, Path]:
    """Builds the sdist, and the wheel from it; lets twine check the metadata.

    Returns:
        The paths of both.

    Raises:
        Unusable: one of the tools failed, or is missing.
    """
    shutil.rmtree(DIST, ignore_errors=True)
    python = str(PACKAGE_TOOLS / "python")
    if not Path(python).exists():
        raise Unusable("the tools are missing; make package installs them")
    _run([python, "-m", "build", "--no-isolation", "--outdir", str(DIST), str(ROOT)])
    (sdist,), (wheel,) = DIST.glob("*.tar.gz"), DIST.glob("*.whl")
    _run([python, "-m", "twine", "check", "--strict", str(sdist), str(wheel)])
    return sdist, wheel


def tracked() -> set[str]:
    """The files that git has of the packages that ``pyproject.toml`` names."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages: Sequence[str] = pyproject["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    return set(_run(["git", "-C", str(ROOT), "ls-files", "--", *packages]).splitlines())


def check_contents(path: Path, wanted: set[str]) -> None:
    """Compares the files of an sdist or a wheel with those of the packages, besides its metadata.

    Raises:
        Unusable: a file is missing, or there is one that nobody wants; names the first of them.
    """
    found = _of_sdist(path) if path.name.endswith(".tar.gz") else _of_wheel(path)
    for kind, names in (("lacks", wanted - found), ("has", found - wanted)):
        if names:
            raise Unusable(f"{path.name} {kind} {len(names)} files: {', '.join(sorted(names)[:3])}")


def _of_sdist(path: Path) -> set[str]:
    with tarfile.open(path) as archive:
        names = {member.name.partition("/")[2] for member in archive if member.isfile()}
    if not names >= _SDIST_FILES:
        raise Unusable(f"{path.name} lacks {', '.join(sorted(_SDIST_FILES - names))}")
    return names - _SDIST_FILES


def _of_wheel(path: Path) -> set[str]:
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
    metadata = {name for name in names if name.partition("/")[0].endswith(".dist-info")}
    if not any(name.endswith("/licenses/LICENSE") for name in metadata):
        raise Unusable(f"{path.name} lacks the license")
    return names - metadata


def _tries(wheel: Path, directory: Path) -> Iterator[str]:
    """Installs the wheel and runs its commands, from a directory without our sources; yields each."""
    binaries, bundles = directory / "env" / "bin", directory / "bundles"
    python = str(binaries / "python")
    _run([sys.executable, "-m", "venv", "--without-pip", str(directory / "env")])
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-compile"]
    _run([*pip, str(wheel)])
    code = f"from importlib.util import find_spec; print(*filter(find_spec, {_TRAINING!r}))"
    _expect(_run([python, "-c", code], directory).strip(), "", "libraries of training")
    yield "installs no library of training"
    version = _run([str(binaries / "shortlist"), "--version"], directory).strip()
    _expect(wheel.name.split("-")[1], version, "version")
    _run([str(binaries / "shortlist"), "--help"], directory)
    yield f"shortlist --help, and --version says {version}"
    bundle_id = _run([sys.executable, "-c", _BUNDLE, str(bundles)]).strip()
    for service in ("retrieval_service", "ranking_service"):
        _run([python, "-m", service, "--help"], directory)
        _run([python, "-m", service, "--bundles", str(bundles), "--check", bundle_id], directory)
        yield f"python -m {service} loads a bundle and answers a first query"
    _run([python, "-m", "live_service", "--help"], directory)
    yield "python -m live_service --help"
    _run([python, "-m", "trainer", "fit", "--help"], directory)
    recipe = ROOT / "trainer" / "recipes" / "movielens.toml"
    fit = [python, "-m", "trainer", "fit", "--recipe", str(recipe), "--data", str(directory), "--out", str(bundles)]
    refused = _done(fit, directory)
    if "Traceback" in refused.stderr or "shortlist[train]" not in refused.stderr:
        raise Unusable(f"python -m trainer does not ask for its extra: {refused.stderr}")
    yield "python -m trainer asks for shortlist[train]"


def _expect(found: str, wanted: str, name: str) -> None:
    if found != wanted:
        raise Unusable(f"{name}: {found!r}, not {wanted!r}")


def _run(command: Sequence[str], directory: Path = ROOT) -> str:
    done = _done(command, directory)
    if done.returncode:
        raise Unusable(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def _done(command: Sequence[str], directory: Path) -> subprocess.CompletedProcess[str]:
    # Without a PYTHONPATH, which may lead to our sources.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=directory, env=environment)


if __name__ == "__main__":
    sys.exit(main())
